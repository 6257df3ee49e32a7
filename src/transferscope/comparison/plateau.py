"""Whether an arm had finished training when it stopped, and how much it might still have risen. Pure functions of the curves of one arm.

An arm that had not finished makes its rival look good: a slow strategy with the baseline's own asymptote looks like harm, a slow baseline
like a gain. The projection takes the curve for one that loses the same share of what is left in each third: exact for an exponential
approach, too small for a slower one (a power law).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

MARGIN = 0.01  # of accuracy: a mean rise over the last third that is no larger counts as none
LEVEL = 0.05  # one-sided, of a rise beyond chance and of its upper bound
LEAST_EVALUATIONS = 4  # the one before training counted; with fewer there is no last third
LEAST_RUNS = 2
STEADIEST = 0.9  # a third's rise over that of the third before; closer to 1 the projection has no end


@dataclass(frozen=True)
class Rise:
    """How the curves of an arm end, in their own unit (accuracy: a fraction).

    metric: of the curves. runs: with a curve; evaluations: of the shortest. share: of training, that the last third is. mean: rise over it,
    averaged over runs; error: its standard error; upper: its one-sided 95 % bound. projected: what would still come if training went on. All
    of these are None where it cannot be told: fewer than LEAST_EVALUATIONS or LEAST_RUNS. is_rising: by more than the margin and than chance.
    """

    runs: int
    evaluations: int
    share: float | None = None
    mean: float | None = None
    error: float | None = None
    upper: float | None = None
    projected: float | None = None
    is_rising: bool = False
    metric: str = "accuracy"

    @property
    def remaining(self) -> float:
        """What a claim against this arm must exceed: the projection of an arm that still rises. The noise of one that has finished projects
        to several points as well, and would cost claims without guarding any."""
        return self.projected or 0.0 if self.is_rising else 0.0

    def to_dict(self) -> dict:
        return {**asdict(self), "remaining": self.remaining}


class Rises(NamedTuple):
    """Of both arms of a cell."""

    strategy: Rise
    baseline: Rise


UNKNOWN = Rises(Rise(0, 0), Rise(0, 0))


def rise(curves: Sequence[Sequence[float]], margin: float = MARGIN, best: float = 1.0) -> Rise:
    """Scores of each run's every evaluation -> how they end. Runs that stopped early have fewer; runs without any are not counted. best: the
    largest score there is; no projection leads beyond it."""
    curves = [curve for curve in curves if len(curve)]
    runs, evaluations = len(curves), min(map(len, curves), default=0)
    if runs < LEAST_RUNS or evaluations < LEAST_EVALUATIONS:
        return Rise(runs, evaluations)
    last, before, share = np.transpose([_thirds(curve) for curve in curves])
    mean, error = float(last.mean()), float(last.std(ddof=1)) / runs**0.5
    return Rise(
        runs,
        evaluations,
        share=float(share.mean()),
        mean=mean,
        error=error,
        upper=mean - float(stdtrit(runs - 1, LEVEL)) * error,
        projected=min(project(mean + error, float(before.mean())), best - float(np.mean([curve[-1] for curve in curves]))),
        is_rising=mean > margin and (error == 0 or float(stdtr(runs - 1, -mean / error)) <= LEVEL),
    )


def project(last: float, before: float) -> float:
    """Rises over the last third and over the third before -> the sum of all later thirds, u q / (1 − q) with q = min(0.9, last / before)."""
    if last <= 0:
        return 0.0
    q = min(STEADIEST, last / before) if before > 0 else STEADIEST  # a rise that has only begun has not slowed down yet
    return last * q / (1 - q)


def _thirds(curve: Sequence[float]) -> tuple[float, float, float]:
    """(rise over the last third, over the third before, share of training that a third is)"""
    intervals = len(curve) - 1
    third = intervals // 3
    end, middle, start = (curve[-1 - number * third] for number in range(3))
    return end - middle, middle - start, third / intervals
