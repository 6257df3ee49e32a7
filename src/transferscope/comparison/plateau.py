"""Whether a baseline had stopped improving when its training stopped: one that had not makes any transfer look good."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

LEVEL = 0.05  # one-sided
LEAST_EVALUATIONS = 4  # the one before training counted; with fewer there is no last third


def last_rise(curves: Sequence[Sequence[float]], margin: float) -> float | None:
    """Scores of each run's evaluations -> their mean rise over the last third, where it is larger than `margin` and more than chance;
    None where it is not, or where fewer than two runs tell."""
    rises = [_rise(curve) for curve in curves if len(curve) >= LEAST_EVALUATIONS]
    if len(rises) < 2:
        return None
    mean, error = float(np.mean(rises)), float(np.std(rises, ddof=1)) / len(rises) ** 0.5
    p = float(stdtr(len(rises) - 1, -mean / error)) if error else 0.0
    return mean if mean > margin and p <= LEVEL else None


def _rise(curve: Sequence[float]) -> float:
    intervals = len(curve) - 1
    return curve[-1] - curve[-1 - intervals // 3]
