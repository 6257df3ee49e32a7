"""How much of one mean difference another one is, by Fieller's method: no ratio is given a distribution."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transferscope.statistics.effect import Effect

HALVINGS = 30  # of the gap in which an end of the interval lies


@dataclass(frozen=True)
class Share:
    """value: mean of the gain over mean of the way. ci: the shares that the data do not reject."""

    value: float
    ci: tuple[float, float]


def share_of_way(
    gain: np.ndarray, way: np.ndarray, effect: Callable[[np.ndarray], Effect | None], alpha: float
) -> Share | None:
    """gain, way [K, n]: differences of two arms to one baseline, paired by seed and item. effect: of such
    differences.

    A share θ belongs to the interval where that of the mean of gain − θ · way, at level 1 − alpha, holds 0
    (Fieller 1954): both parts of chance are in it, and the two arms share a baseline. That is bounded where
    the way's own interval lies above 0; None where it does not, or where there is no interval."""
    whole = effect(way)
    if whole is None or whole.interval(alpha)[0] <= 0:
        return None
    value = float(gain.mean() / way.mean())

    def holds(theta: float) -> bool:
        # on the scale of the score, whose unit `effect` knows
        rest = effect((gain - theta * way) / max(1.0, abs(theta), abs(1 - theta)))
        assert rest is not None  # as many seeds as `way` has, which has one
        return abs(rest.delta) <= rest.half(alpha)

    return Share(value, (_end(holds, value, -1.0), _end(holds, value, 1.0)))


def _end(holds: Callable[[float], bool], inside: float, step: float) -> float:
    while holds(inside + step):
        step *= 2
    outside = inside + step
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside
