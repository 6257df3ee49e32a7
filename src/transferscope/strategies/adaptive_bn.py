"""AdaBN: the source model with the target's statistics in its BatchNorm layers (Li et al. 2017, arXiv
1603.04779)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.networks.entropy import entropy
from transferscope.networks.frozen import BATCH_NORMS
from transferscope.strategies.base import Batch, Strategy


class AdaptiveBN(Strategy):
    """y = γ (x - E_U[x]) / √(Var_U[x] + ε) + β in every BatchNorm layer: the target's mean and variance in
    place of the source's (algorithm 1)

    Layers of a frozen trunk keep theirs; the record says how many were adapted. No weight is trained. Each
    step passes one batch of unlabelled items; the statistics are the average over the batches of all steps so
    far, so they are those of the whole pool once the steps suffice for a few passes over it. The term
    `entropy` is only watched. No label can be used, whatever the budget: nothing is fitted to one. It undoes
    what is a shift and scale of each channel; under label shift the mean moves with the class shares, and
    taking it out harms."""

    sees = frozenset({"target_inputs"})
    needs_target_labels = False
    needs_source_model = True
    shares_classes = True
    rates_of_its_own = True  # there is nothing that learns

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.layers = [layer for layer in network.reachable() if isinstance(layer, BATCH_NORMS)]
        if not self.layers:
            raise NotApplicable(
                "strategy=adaptive_bn: the backbone has no BatchNorm layer above what is frozen; allowed: "
                "one that has, such as small_cnn or mlp"
            )
        for layer in self.layers:
            # the plain average over batches, which replaces the source's statistics at the first
            layer.momentum = None
            layer.num_batches_tracked.zero_()

    def acts_on(self) -> dict[str, tuple[int, int]]:
        return {
            "BatchNorm layers": (
                len(self.layers),
                sum(isinstance(layer, BATCH_NORMS) for layer in self.network.modules()),
            )
        }

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {}

    def updates(self, batch: Batch) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
        with torch.no_grad():
            logits = self.logits(batch.unlabelled)
        yield (), {"entropy": entropy(logits).mean()}

    def backward(self, terms: dict[str, Tensor]) -> None:
        """Nothing is trained."""
