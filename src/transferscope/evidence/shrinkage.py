"""Normal-normal empirical Bayes: the extreme one of several estimates is overstated, shrinking takes that back (Morris 1983)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell


def within_families(cells: Sequence["Cell"], items: str) -> list[float | None]:
    """Δ of each cell drawn towards those of its family; None where it is alone, or has a single seed. items: as for the comparison."""
    families = defaultdict(list)
    effects = [cell.pair(items).effect() for cell in cells]
    for k, (cell, effect) in enumerate(zip(cells, effects, strict=True)):
        if effect is not None:
            families[cell.family].append(k)
    found: list[float | None] = [None] * len(cells)
    for family in families.values():
        if len(family) > 1:
            pooled = np.mean([effects[k].seed_variance for k in family])  # of few seeds each: by itself it makes the weights
            drawn = shrink([cells[k].delta for k in family], [pooled + effects[k].item_variance for k in family])
            for k, value in zip(family, drawn, strict=True):
                found[k] = float(value)
    return found


def shrink(estimates: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Estimates [m] and their variances [m] (> 0) -> each drawn towards their common mean, the more the less is known of it.

    The variance between the true values is DerSimonian and Laird's moment estimate; where it is 0 all become the common mean.
    """
    estimates, variances = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    if len(estimates) < 2:
        return estimates
    weights = 1 / variances
    mean = np.average(estimates, weights=weights)
    excess = np.sum(weights * (estimates - mean) ** 2) - (len(estimates) - 1)
    between = max(0.0, excess / (weights.sum() - np.sum(weights**2) / weights.sum()))
    centre = np.average(estimates, weights=1 / (variances + between))
    return centre + between / (between + variances) * (estimates - centre)
