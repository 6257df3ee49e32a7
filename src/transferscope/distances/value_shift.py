"""Target shift: how far the numbers that are to be predicted are apart in two domains."""

import torch
from torch import Tensor

from transferscope.errors import RequestError

VERSION = "1"  # part of the keys of kept rankings: change it when the numbers change
QUANTILES = 1000


def value_shift(source_values: Tensor, target_values: Tensor) -> Tensor:
    """Mean over quantities of W₁(p_S, p_T) / sd, the least mean distance by which the source's numbers would
    have to move, in standard deviations of both domains together: 0 = one distribution

    source_values [N, T], target_values [M, T] → scalar. The Wasserstein distance of one dimension, by the
    means of QUANTILES quantiles of either domain.

    >>> value_shift(torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]]))  # 2 over the deviation 1.118
    tensor(1.7889, dtype=torch.float64)
    """
    for side, values in (("source", source_values), ("target", target_values)):
        if values.ndim != 2 or len(values) == 0 or not torch.isfinite(values).all():
            raise RequestError(f"{side}_values {list(values.shape)}: finite numbers [items, T] are needed")
    source, target = source_values.double(), target_values.double()
    spread = torch.cat([source, target]).std(0, unbiased=False)
    if not (spread > 0).all():
        raise RequestError("value_shift: all items have one value; two are needed")
    at = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    of_source, of_target = (
        values.quantile(at, dim=0, interpolation="nearest") for values in (source, target)
    )
    return ((of_source - of_target).abs().mean(0) / spread).mean()
