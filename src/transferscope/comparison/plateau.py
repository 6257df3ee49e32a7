"""Whether an arm had finished training when it stopped, and how much it might still have risen. Pure
functions of the curves of one arm.

An arm that had not finished makes its rival look good: a slow strategy with the baseline's own asymptote
looks like harm, a slow baseline like a gain. Training is measured by the learning rate it has spent, not by
its steps: under a cosine schedule the last third of the steps has 4 % of the learning rate, and every curve
ends flat however far it had still to go. The projection takes what is missing to fall by the same share with
each such third: exact for an exponential approach, too small for a slower one (a power law)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from transferscope.store.schema import Json

MARGIN = 0.01  # of accuracy: a mean rise over the last third that is no larger counts as none
LEVEL = 0.05  # one-sided, of a rise beyond chance and of its upper bound
LEAST_EVALUATIONS = 4  # the one before training counted; with fewer there is no last third
LEAST_RUNS = 2
LARGEST_RATIO = 100.0  # evaluations that leave almost no learning rate to the last part foretell nothing
STEADIEST = 0.9  # what a third may leave of what was missing; closer to 1 the projection has no end


class Curve(NamedTuple):
    """One run: its score at every evaluation, the one before training first; when that was, as a share of the
    planned steps; the schedule of its learning rate (`cosine` falls to 0 over the planned steps, whatever
    else is taken for constant)."""

    scores: Sequence[float]
    at: Sequence[float]
    schedule: str = "constant"

    @property
    def spent(self) -> np.ndarray:
        """Share of all learning rate that was spent up to each evaluation."""
        t = np.asarray(self.at, dtype=float)
        spent = t + np.sin(np.pi * t) / np.pi if self.schedule == "cosine" else t
        share: np.ndarray = spent / spent[-1]
        return share


def evenly(scores: Sequence[float], schedule: str = "constant") -> Curve:
    """Evaluations as a whole training spreads them."""
    return Curve(scores, np.linspace(0, 1, len(scores)).tolist(), schedule)


@dataclass(frozen=True)
class Rise:
    """How the curves of an arm end, in their own unit (accuracy: a fraction).

    metric: of the curves. runs: with a curve; evaluations: of the shortest. share: of the steps, that the
    last third of the learning rate took.
    mean: rise over it, averaged over runs; error: its standard error; upper: its one-sided 95 % bound.
    projected: what would still come if training went on. All of these are None where it cannot be told: fewer
    than LEAST_EVALUATIONS or LEAST_RUNS. is_rising: by more than the margin and than chance."""

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
        """What a claim against this arm must exceed: the projection of an arm that still rises. The noise of
        one that has finished projects to several points as well, and would cost claims without guarding
        any."""
        return self.projected or 0.0 if self.is_rising else 0.0

    def to_dict(self) -> Json:
        return {**asdict(self), "remaining": self.remaining}


class Rises(NamedTuple):
    """Of both arms of a cell."""

    strategy: Rise
    baseline: Rise


UNKNOWN = Rises(Rise(0, 0), Rise(0, 0))


def rise(curves: Sequence[Curve], margin: float = MARGIN, best: float = 1.0) -> Rise:
    """How the curves of an arm end. Runs that stopped early have fewer evaluations; runs without any are not
    counted. best: the largest score there is; no projection leads beyond it."""
    curves = [curve for curve in curves if len(curve.scores)]
    runs, evaluations = len(curves), min((len(curve.scores) for curve in curves), default=0)
    if runs < LEAST_RUNS or evaluations < LEAST_EVALUATIONS:
        return Rise(runs, evaluations)
    last, before, ratio, share = np.transpose([_thirds(curve) for curve in curves])
    mean, error = float(last.mean()), float(last.std(ddof=1)) / runs**0.5
    projected = project(mean + error, float(before.mean()), float(ratio.mean()))
    return Rise(
        runs,
        evaluations,
        share=float(share.mean()),
        mean=mean,
        error=error,
        upper=mean - float(stdtrit(runs - 1, LEVEL)) * error,
        projected=min(projected, best - float(np.mean([curve.scores[-1] for curve in curves]))),
        is_rising=mean > margin and (error == 0 or float(stdtr(runs - 1, -mean / error)) <= LEVEL),
    )


def project(last: float, before: float, ratio: float = 1.0) -> float:
    """Rises over the last third and over the part before, `ratio` times as long -> what is still to come.

    Where the last third leaves a share q of what was missing before it, last / before = (1 − q) / (q^−ratio −
    1), which grows with q, and last · q / (1 − q) is left; with equal parts q = last / before. q is at most
    STEADIEST."""
    if last <= 0:
        return 0.0

    def slowing(q: float) -> float:
        return float((1 - q) / (q**-ratio - 1))

    low, high = 0.0, STEADIEST
    if before > 0 and last / before < slowing(STEADIEST):  # else it has only begun to rise
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if slowing(middle) < last / before else (low, middle)
    return last * high / (1 - high)


def _thirds(curve: Curve) -> tuple[float, float, float, float]:
    """(rise over the last third of the learning rate, rise over the part before, how many times as long that
    is, share of the steps that the last third took), at the evaluations that come nearest."""
    spent = curve.spent
    middle = 1 + int(np.argmin(np.abs(spent[1:-1] - 2 / 3)))
    start = int(np.argmin(np.abs(spent[:middle] - (2 * spent[middle] - 1))))
    ratio = min((spent[middle] - spent[start]) / max(1 - spent[middle], np.finfo(float).tiny), LARGEST_RATIO)
    scores = curve.scores
    return (
        scores[-1] - scores[middle],
        scores[middle] - scores[start],
        ratio,
        1 - curve.at[middle] / curve.at[-1],
    )
