"""How the seeds of a cell agree. No interval guards against seeds that fail rarely and badly: what was seen
of each is said beside the verdict."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, stdtrit

CONFIDENCE = 0.95  # one-sided, of the failure rate
OUTLIER_LEVEL = 0.01  # two-sided, of a set of seeds without an outlier
LEAST = 4  # seeds below which no outlier can be told


@dataclass(frozen=True)
class Agreement:
    """ahead: seeds whose Δ has the sign of the mean. failure_rate: the largest share of seeds without it that
    this number does not exclude. outliers: positions of the seeds that do not fit the others."""

    ahead: int
    failure_rate: float
    outliers: tuple[int, ...]


def agreement(means: np.ndarray) -> Agreement:
    """means [K]: Δ of each seed."""
    ahead = int(np.sum(means * np.sign(means.mean()) > 0))
    failed = len(means) - ahead
    rate = float(betaincinv(failed + 1, ahead, CONFIDENCE)) if ahead else 1.0
    return Agreement(ahead, rate, outliers(means))


def outliers(values: np.ndarray) -> tuple[int, ...]:
    """Positions, by the generalised extreme studentised deviate test (Rosner 1983) for up to a quarter of the
    values, so that one outlier does not hide behind another."""
    if len(values) < LEAST:
        return ()
    rest, taken, found = np.asarray(values, dtype=float), [], 0
    left = np.arange(len(values))
    for number in range(1, max(1, len(values) // 4) + 1):
        n, spread = len(rest), rest.std(ddof=1)
        if n < LEAST - 1 or spread <= 1e-12 * np.abs(rest).max(initial=0.0):
            break
        at = int(np.argmax(np.abs(rest - rest.mean())))
        taken.append(int(left[at]))
        if abs(rest[at] - rest.mean()) / spread > _critical(n):
            found = number
        rest, left = np.delete(rest, at), np.delete(left, at)
    return tuple(sorted(taken[:found]))


def _critical(n: int) -> float:
    """Of the largest of n studentised deviates (Grubbs 1969)."""
    t = -stdtrit(n - 2, OUTLIER_LEVEL / (2 * n))
    return float((n - 1) * t / np.sqrt(n * (n - 2 + t**2)))
