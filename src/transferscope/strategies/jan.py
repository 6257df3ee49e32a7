"""JAN: equal joint distributions of features and predictions (Long et al. 2017, arXiv 1605.06636)."""

import torch
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class JAN(Adaptation):
    """min E_S [ -log p_y(x) ] + λ JMMD²(S, U), the joint maximum mean discrepancy of features [N, d] and
    probabilities [N, C]   (section 4)

    λ = trade_off times `ramp`. Under label shift it fails by its assumption: the joint distributions differ
    and must not be made equal. trade_off = 0.3 is the authors' for one bandwidth a layer, the median, as here
    (their Xlearn solver files: best of [0.1, 1.0]). The Transfer-Learning-Library has 1.0, with five kernels
    added up on the features and a fixed one on the probabilities, which at one λ is a gradient some six times
    as large. Deviations: the two layers every network has here, without the bottleneck between; an estimate
    over all pairs in place of the one in linear time; the labelled target items of `Adaptation`."""

    def __init__(self, network: Classifier, trade_off: float = 0.3):
        super().__init__(network)
        self.trade_off = trade_off

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        source = features.source, self.task.embedded(logits.source)
        target = features.unlabelled, self.task.embedded(logits.unlabelled)
        return self.supervised(batch, logits) | {
            "jmmd": self.trade_off * self.ramp * joint_mmd(source, target)
        }


def joint_mmd(source: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
    """E k(s, s') + E k(t, t') - 2 E k(s, t) with k the product of the layers' kernels, averages over all
    pairs of different items

    source: each layer's output [N, d_l], target [M, d_l]. A layer's kernel is exp(-|x - y|² / γ), γ the
    median squared distance of the pooled pairs, a constant to the gradient."""
    kernel: Tensor | float = 1.0
    for layer in zip(source, target, strict=True):
        pooled = torch.cat(layer)
        squared = torch.cdist(
            pooled, pooled, compute_mode="donot_use_mm_for_euclid_dist"
        ).square()  # [N + M, N + M]
        pairs = squared.detach()[torch.ones_like(squared, dtype=torch.bool).triu(1)]
        kernel = kernel * torch.exp(-squared / pairs.median().clamp_min(1e-12))
    n, m = len(source[0]), len(target[0])
    within_source, within_target, between = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    return (
        (within_source.sum() - n) / (n * (n - 1))
        + (within_target.sum() - m) / (m * (m - 1))
        - 2 * between.mean()
    )
