"""Safe choice: fine-tuning and the seed's scratch run side by side; validation labels say which of the two
answers."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.strategies.base import Batch, Diagnosis, Strategy


class SafeChoice(Strategy):
    """p = p_transfer if mean(g) > sd(g) / √v, else p_scratch;  g_i = |e_y - p_scratch(x_i)|² - |e_y -
    p_transfer(x_i)|²  over v validation items

    Both arms minimise E_T [ -log p_y(x) ]: `transfer` from transferred weights, as fine_tuning does,
    `scratch` from the weights, and with the batches, of the seed's scratch run. Where it falls back it gives
    that run's probabilities bit for bit, so a loss against scratch can only come from a wrong choice of
    transfer. Transfer must therefore be better by more than one standard error (the one-standard-error rule
    of Breiman et al. 1984, scratch being the simpler model). g [v] is a paired difference of Brier scores: a
    proper score, to which a single item adds at most 2, and finer than a count of hits with few validation
    items. These are within the label budget and no other strategy chooses by more; below 5 labels a class
    there are none, and it is scratch. The choice is made anew at each evaluation from the weights alone and
    is `choice/transfer` (1 or 0) in the history. Two networks are trained: the record counts the steps of
    both."""

    sees = frozenset({"target_labels"})
    beside_scratch = True

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.alone = copy.deepcopy(network)
        if network.scratch:
            self.alone.load_state_dict(network.scratch)
        self.register_buffer("transfers", torch.zeros((), dtype=torch.bool))

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        inputs, labels = batch.target.inputs, batch.target.labels
        yield "alone", {"scratch": self.task_loss(self.alone(inputs), labels)}
        with (
            torch.random.fork_rng()
        ):  # what dropout draws here is not missing from the scratch run's own draws
            loss = self.task_loss(self.network(inputs), labels)
        yield "transfer", {"target": loss}

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {
            "alone": [{"params": list(self.alone.parameters())}],
            "transfer": [{"params": list(self.network.parameters())}],
        }

    def begin_evaluation(self, pools: Pools) -> dict[str, float]:
        if pools.validation is not None:
            inputs, labels, _ = pools.validation
            risk = [self._risk(network, inputs, labels) for network in (self.alone, self.network)]
            gain = risk[0] - risk[1]
            self.transfers.fill_(bool(gain.mean() > gain.std() / len(gain) ** 0.5))
        return {"choice/transfer": float(self.transfers)}

    def diagnose(self, history: list[dict[str, float]]) -> Diagnosis:
        return Diagnosis(flags=() if history[-1]["choice/transfer"] else ("scratch was chosen",))

    def _risk(self, network: Classifier, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.task.risk(in_chunks(network, inputs, self.device), labels.cpu())  # [v]

    @property
    def predictor(self) -> Classifier:
        return self.network if self.transfers else self.alone

    def logits(self, inputs: Tensor) -> Tensor:
        return self.predictor(inputs)
