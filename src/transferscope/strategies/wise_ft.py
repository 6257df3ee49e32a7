"""WiSE-FT: the weights of the source model and of its fine-tuned copy, averaged (Wortsman et al. 2022, CVPR,
arXiv 2109.01903)."""

import copy

import torch
from torch import Tensor

from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.strategies.base import Batch, Strategy

# the middle first: of equal ones the first is taken
SHARES = (0.5, *(share / 10 for share in range(11) if share != 5))


class WiSEFT(Strategy):
    """p(x) = h(x; (1 - α) w_0 + α w_1);  w_1 = argmin_w E_T [ -log p_y(x; w) ], started at w_0   (section 3,
    weight-space ensembling)

    w_0: all weights of the source model, head included, in place of the paper's zero-shot model; w_1: what
    fine-tuning has made of them so far. α = 0 is the source model and α = 1 is fine-tuning, so both ends are
    at hand. α is the one of 0, 0.1, … 1 with the least Brier score on the validation labels of the budget,
    taken anew at each evaluation; below 5 labels a class there are none and it is 0.5, the paper's
    recommendation. It is `choice/alpha` in the history. Without a source model that has the target's classes
    w_0 predicts nothing and there is no safe end: it is refused then. Nothing guards against a loss to
    scratch, only against a loss to either end. Deviations: the paper has α of the best accuracy on held-out
    items; a Brier score is finer than a count of hits where these are few. Running statistics of BatchNorm
    layers are averaged as the weights are; the paper's networks have none.

    alpha: 0 to 1 sets α, whatever the labels.
    """

    sees = frozenset({"target_labels"})
    shares_classes = True
    needs_source_model = True

    def __init__(self, network: Classifier, alpha: float | None = None):
        super().__init__(network)
        if alpha is not None and not 0 <= alpha <= 1:
            raise RequestError(f"strategy.alpha={alpha}: allowed: 0 to 1, or null to choose it")
        self.alpha = alpha
        self.start = copy.deepcopy(network).requires_grad_(False)  # w_0
        self.mixed = copy.deepcopy(network).requires_grad_(False)  # what predicts

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.parameters())}]}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"target": self.task_loss(self.network(batch.target.inputs), batch.target.labels)}

    def begin_evaluation(self, pools: Pools) -> dict[str, float]:
        share = SHARES[0] if self.alpha is None else self.alpha
        if self.alpha is None and pools.validation is not None:
            share = min(
                SHARES, key=lambda share: self._risk(share, pools.validation.inputs, pools.validation.labels)
            )
        self.mix(share)
        return {"choice/alpha": share}

    @torch.no_grad()
    def mix(self, share: float) -> None:
        start, tuned = self.start.state_dict(), self.network.state_dict()
        for name, value in self.mixed.state_dict().items():
            if value.is_floating_point():
                value.copy_((1 - share) * start[name] + share * tuned[name])

    def _risk(self, share: float, inputs: Tensor, labels: Tensor) -> float:
        self.mix(share)
        return float(self.task.risk(in_chunks(self.mixed, inputs, self.device), labels.cpu()).mean())

    @property
    def predictor(self) -> Classifier:
        return self.mixed

    def logits(self, inputs: Tensor) -> Tensor:
        return self.mixed(inputs)
