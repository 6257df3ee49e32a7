"""BNM: predictions on the target that are sure and of many classes (Cui et al. 2020, arXiv 2003.12237)."""

import torch
from torch import Tensor
from torch.nn.functional import softmax

from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class BNM(Adaptation):
    """min E_S [ -log p_y(x) ] - λ ‖P‖_* / M   (their L_cls + λ L_BNM)

    P [M, C]: class probabilities of the M unlabelled items of a batch, ‖P‖_* the sum of its singular values.
    λ = trade_off. Large for sure predictions of many classes, largest for equal class shares: rare classes
    are made too large. 1 / M is the paper's; the authors' code takes the mean of the singular values, 1 /
    min(M, C), with the same λ = 1: for M = 32 items of C = 10 classes 3.2 times as much. Deviation: the
    labelled target items of `Adaptation`."""

    needs = frozenset({"classes"})

    def __init__(self, network: Classifier, trade_off: float = 1.0):
        super().__init__(network)
        self.trade_off = trade_off

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, logits = self.passed(batch)
        return self.supervised(batch, logits) | {
            "nuclear": -self.trade_off * nuclear_norm(softmax(logits.unlabelled, dim=1))
        }


def nuclear_norm(p: Tensor) -> Tensor:
    """‖P‖_* / M of P [M, C]. Not finite where P is not: the decomposition itself would raise."""
    return (torch.linalg.svdvals(p).sum() if p.isfinite().all() else p.sum()) / len(p)
