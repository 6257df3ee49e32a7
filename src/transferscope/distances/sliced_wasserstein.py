"""Sliced Wasserstein distance (Rabin et al. 2012, Wasserstein barycenter and its application to texture
mixing)."""

import torch
from torch import Tensor

from transferscope.distances._inputs import require_samples
from transferscope.errors import RequestError

VERSION = "039576fd"  # part of the keys of kept rankings: change it when the numbers change


def sliced_wasserstein(
    source: Tensor, target: Tensor, generator: torch.Generator, projections: int = 128
) -> Tensor:
    """Mean over directions θ of W_2²(θ·s, θ·t), the squared 2-Wasserstein distance on a line = ∫ (F_S⁻¹(q) -
    F_T⁻¹(q))² dq

    source [N, d], target [M, d] → scalar. Not finite where an input is not. Differentiable. generator: draws
    the directions, uniform on the sphere, on its own device; one seed gives the same directions for every
    pair of width d. projections: how many. Rabin et al. descend along all of them; with N = M the integral is
    their sum over sorted items, with N ≠ M it is exact as well, over the steps of both quantile functions.

    >>> # (3² + 2²) / 2
    >>> sliced_wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]), torch.Generator())
    tensor(6.5000)
    """
    require_samples(source, target, least=1)
    if projections < 1:
        raise RequestError(f"projections={projections}: at least 1 is needed")
    directions = torch.randn(source.shape[1], projections, generator=generator, device=generator.device)
    directions = (directions / directions.norm(dim=0)).to(source)  # [d, P]
    n, m = len(source), len(target)
    steps = torch.cat([torch.arange(n, device=source.device) * m, torch.arange(m, device=source.device) * n])
    steps = torch.unique(steps)  # q · N · M
    widths = torch.diff(steps, append=steps.new_tensor([n * m])).to(source) / (n * m)  # [K]
    sorted_source = (source @ directions).sort(dim=0).values[steps // m]  # [K, P]
    sorted_target = (target @ directions).sort(dim=0).values[steps // n]
    distance: Tensor = (widths @ (sorted_source - sorted_target) ** 2).mean()
    return distance
