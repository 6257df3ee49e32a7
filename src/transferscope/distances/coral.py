"""CORAL: correlation alignment (Sun & Saenko 2016, arXiv 1607.01719)."""

from torch import Tensor

from transferscope.distances._inputs import require_samples

VERSION = "ec263bd6"  # part of the keys of kept rankings: change it when the numbers change


def coral(source: Tensor, target: Tensor) -> Tensor:
    """|C_S - C_T|_F² / (4 d²), with the covariances C over N - 1 and M - 1   (section 3.1)

    source [N, d], target [M, d] → scalar; at least two items each. Not finite where an input is not.
    Differentiable. Blind to the means: a shift of all items is no distance.

    >>> import torch
    >>> coral(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [4.0]]))  # variances 2 and 8: (2 - 8)² / 4
    tensor(9.)
    """
    require_samples(source, target, least=2)
    width = source.shape[1]
    return ((_covariance(source) - _covariance(target)) ** 2).sum() / (4 * width**2)


def _covariance(items: Tensor) -> Tensor:
    """[N, d] → [d, d]."""
    deviations = items - items.mean(0)
    return deviations.T @ deviations / (len(items) - 1)
