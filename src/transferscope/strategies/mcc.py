"""MCC: predictions on the target that do not waver between two classes (Jin et al. 2020, arXiv
1912.03699)."""

import torch
from torch import Tensor
from torch.nn.functional import softmax

from transferscope.networks.classifier import Classifier
from transferscope.networks.entropy import entropy
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class MCC(Adaptation):
    """min E_S [ -log p_y(x) ] + μ / C Σ_{c ≠ c'} K_cc' / Σ_c'' K_cc'',  K = Pᵀ W P, P the probabilities of
    the unlabelled items   (L_MCC)

    μ = trade_off; temperature: T of the probabilities; W: see `class_confusion`. The normalisation makes
    every class weigh the same, present in the batch or not: with many more classes than items a batch, or
    classes that the target lacks, it rests on noise. Deviations: no bottleneck before the head; the labelled
    target items of `Adaptation`."""

    needs = frozenset({"classes"})
    version = 2

    def __init__(self, network: Classifier, trade_off: float = 1.0, temperature: float = 2.5):
        super().__init__(network)
        self.trade_off, self.temperature = trade_off, temperature

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, logits = self.passed(batch)
        confusion = class_confusion(logits.unlabelled / self.temperature)
        return self.supervised(batch, logits) | {"confusion": self.trade_off * confusion}


def class_confusion(logits: Tensor) -> Tensor:
    """logits [M, C] → mean over classes of the share of a class's correlation that is with other classes, 0
    to 1 - 1/C

    K = Pᵀ W P with the probabilities P [M, C] and W = diag(w), w_i = M (1 + exp(-H_i)) / Σ_j (1 + exp(-H_j)):
    sure items weigh more. Each row of K [C, C] is divided by its sum; L_MCC = 1/C Σ of what is off the
    diagonal. w is a constant to the gradient, as in the authors' code."""
    p = softmax(logits, dim=1)
    weights = 1 + torch.exp(-entropy(logits.detach()))
    correlation = p.T @ (p * (len(p) * weights / weights.sum())[:, None])  # [C, C]
    shares = correlation / correlation.sum(1, keepdim=True)
    return 1 - shares.diagonal().mean()
