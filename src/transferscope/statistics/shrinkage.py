"""Normal-normal empirical Bayes: the extreme one of several estimates is overstated, shrinking takes that
back (Morris 1983)."""

from collections.abc import Sequence

import numpy as np


def shrink(estimates: Sequence[float] | np.ndarray, variances: Sequence[float] | np.ndarray) -> np.ndarray:
    """Estimates [m] and their variances [m] (> 0) -> each drawn towards their common mean, the more the less
    is known of it.

    The variance between the true values is DerSimonian and Laird's moment estimate; where it is 0 all become
    the common mean."""
    estimates, variances = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    if len(estimates) < 2:
        return estimates
    weights = 1 / variances
    mean = np.average(estimates, weights=weights)
    excess = np.sum(weights * (estimates - mean) ** 2) - (len(estimates) - 1)
    between = max(0.0, excess / (weights.sum() - np.sum(weights**2) / weights.sum()))
    centre = float(np.average(estimates, weights=1 / (variances + between)))
    shrunk: np.ndarray = centre + between / (between + variances) * (estimates - centre)
    return shrunk
