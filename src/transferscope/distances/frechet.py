"""Fréchet distance of two Gaussians (Dowson & Landau 1982; as FID by Heusel et al. 2017, arXiv
1706.08500)."""

import torch
from torch import Tensor

from transferscope.distances._inputs import require_samples

VERSION = "b1c9c652"  # part of the keys of kept rankings: change it when the numbers change


def frechet(source: Tensor, target: Tensor) -> Tensor:
    """|m_S - m_T|² + tr(C_S + C_T - 2 (C_S C_T)^½): the squared distance, which is also the squared
    2-Wasserstein distance of Gaussians

    source [N, d], target [M, d] → scalar; at least two items each, covariances over N - 1 and M - 1. 0 for
    equal samples up to rounding. Not finite where an input is not. Differentiable: with deviations A [N, d],
    B [M, d] and C_S = AᵀA, C_T = BᵀB the trace of the root is the sum of the singular values of A Bᵀ, so that
    no root of a singular matrix is taken and d may exceed N.

    >>> # means 0 and 5, deviations 1 and 2: 5² + (2 - 1)²
    >>> frechet(torch.tensor([[-1.0], [0.0], [1.0]]), torch.tensor([[3.0], [5.0], [7.0]]))
    tensor(26.)
    """
    require_samples(source, target, least=2)
    a, b = _deviations(source), _deviations(target)
    apart: Tensor = ((source.mean(0) - target.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum()
    if not apart.isfinite():  # the decomposition would raise
        return apart
    distance: Tensor = apart - 2 * torch.linalg.svdvals(_at_most_square(a) @ _at_most_square(b).T).sum()
    return distance


def _deviations(items: Tensor) -> Tensor:
    """A [N, d] with AᵀA the covariance."""
    centred: Tensor = items - items.mean(0)
    return centred / float((len(items) - 1) ** 0.5)


def _at_most_square(deviations: Tensor) -> Tensor:
    """[N, d] → [min(N, d), d] with the same covariance. Q is a constant to the gradient: the sum of singular
    values does not change with it."""
    if len(deviations) <= deviations.shape[1]:
        return deviations
    rotated: Tensor = torch.linalg.qr(deviations.detach()).Q.T @ deviations
    return rotated
