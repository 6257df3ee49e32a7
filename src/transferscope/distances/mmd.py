"""Maximum mean discrepancy (Gretton et al. 2012, JMLR 13; several bandwidths as in DAN, Long et al. 2015,
arXiv 1502.02791)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from transferscope.distances._inputs import require_samples

VERSION = "28662e4a"  # part of the keys of kept rankings: change it when the numbers change

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # bandwidths in units of the median


def mmd(
    source: Tensor, target: Tensor, kernel: Literal["gaussian", "linear"] = "gaussian", unbiased: bool = False
) -> Tensor:
    """MMD² = E k(s, s') + E k(t, t') - 2 E k(s, t)   (Gretton et al., lemma 6)

    source [N, d], target [M, d] → scalar. Not finite where an input is not. Differentiable. kernel:
    "gaussian" is the mean of exp(-|x - y|² / γ) over γ = (1/4, 1/2, 1, 2, 4) times the median squared
    distance of all distinct pairs
        of the pooled sample (their mean where more than half of them coincide); "linear" is x·y, so that MMD²
        = |mean s - mean t|².
    unbiased: False averages over all pairs (their MMD_b): never negative, 0 for equal samples, and for equal
        domains about 1/N + 1/M times the kernel's mean drop from k(x, x) too large. True leaves out the pairs
        of an item with itself (their MMD_u): right on average, negative by chance; needs two items of each
        domain.
    Deviations: Long et al. learn the weights of the bandwidths, here they are equal; the bandwidths are
    constants to the gradient.

    >>> mmd(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]]), kernel="linear")  # (1 - 3)²
    tensor(4.)
    """
    require_samples(source, target, least=2 if unbiased else 1)
    pooled = torch.cat([source, target])  # [N + M, d]
    if kernel == "linear":
        return _contrast(pooled @ pooled.T, len(source), unbiased)
    squared = _squared_distances(pooled)
    bandwidth = _bandwidth(squared.detach())
    terms = [
        _contrast(torch.exp(-squared / (factor * bandwidth)), len(source), unbiased) for factor in FACTORS
    ]
    return torch.stack(terms).mean()


def _contrast(kernel: Tensor, n: int, unbiased: bool) -> Tensor:
    """The three means of a kernel matrix [N + M, N + M] whose first `n` items are the source's."""
    within: Callable[[Tensor], Tensor] = _off_diagonal_mean if unbiased else torch.mean
    return within(kernel[:n, :n]) + within(kernel[n:, n:]) - 2 * kernel[:n, n:].mean()


def _off_diagonal_mean(kernel: Tensor) -> Tensor:
    return (kernel.sum() - kernel.diagonal().sum()) / (len(kernel) * (len(kernel) - 1))


def _squared_distances(items: Tensor) -> Tensor:
    """[N, d] → [N, N]. Centred first: |x|² + |y|² - 2 x·y loses digits far from the origin."""
    items = items - items.mean(0).detach()
    norms = (items**2).sum(1)
    squared = norms[:, None] + norms[None, :] - 2 * items @ items.T
    return squared.clamp(min=0).fill_diagonal_(0)


def _bandwidth(squared: Tensor) -> Tensor:
    pairs = squared[torch.ones_like(squared, dtype=torch.bool).triu(1)]
    median = pairs.median()
    if median == 0:
        median = pairs.mean()
    # all items are one point: any bandwidth gives 0
    return torch.where(median == 0, torch.ones_like(median), median)
