"""Planning: an effect as large as a pilot says is the smallest one found is found with power 0.8, as a mean
over pilots.

Pilots and the experiments that are planned by them are drawn from the same pool of real runs. An experiment
whose true effect is δ is one of the pool's with δ in place of the pool's own mean."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from transferscope.calibration import runs
from transferscope.calibration.findings import ALPHA, Finding, Size, watched
from transferscope.calibration.many import Effects, Layout
from transferscope.calibration.resampling import resampled
from transferscope.data.splits import generator
from transferscope.statistics.effect import MANY, POWER
from transferscope.statistics.planning import HIGH, LOW, MOST_TIMES, Spread
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.joint import Joint

ARMS = (
    runs.TrainedArm(FineTuning, "rotated"),
    runs.TrainedArm(FineTuning, "letters"),
    runs.TrainedArm(FeatureExtraction, "rotated"),
    runs.TrainedArm(Joint, "rotated"),
    runs.TrainedArm(Joint, "rotated", noise=0.5),
    runs.TrainedArm(FineTuning, "quarter turn"),
)
assert len(ARMS) == MANY
BUDGETS = (2, 10)
SEEDS, ITEMS = (3, 5, 10), (200, 500, 1000, 2000)
FAMILIES = (1, 12)
PILOT_SHARE, DRAW_SHARE = 20, 5  # pilots and experiments are one for so many draws of a point
LARGEST, TOLERANCE = 0.08, 0.05  # promised of effects below, give or take
# a pilot and what is planned by it: (seeds, items) of either
OTHERS = (
    ((3, 200), (10, 200)),
    ((5, 1000), (10, 2000)),
    ((10, 1000), (5, 200)),
    ((5, 200), (10, 1000)),
    ((5, 200), (5, 2000)),
)


@dataclass(frozen=True)
class Planned:
    """Seeds and items of a pilot, and of the experiment that is planned by it."""

    pilot: tuple[int, int]
    seeds: int
    items: int

    @property
    def is_within_reach(self) -> bool:
        return self.items <= MOST_TIMES * self.pilot[1]

    def __str__(self) -> str:
        numbers = f"K={self.seeds} n={self.items}"
        if self.pilot == (self.seeds, self.items):
            return numbers
        return f"{numbers} by a pilot of K={self.pilot[0]} n={self.pilot[1]}"


def study(size: Size) -> Iterator[Finding]:
    draws, pilots = max(2, size.draws // DRAW_SHARE), max(2, size.draws // PILOT_SHARE)
    alike = [Planned((seeds, items), seeds, items) for seeds, items in product(SEEDS, ITEMS)]
    other = [Planned(pilot, *numbers) for pilot, numbers in OTHERS]
    pools = {budget: runs.differences(ARMS, [budget], range(size.seeds)) for budget in BUDGETS}
    single = list(product(BUDGETS, range(len(ARMS)), alike + other))
    for budget, at, planned in watched(single, "planning: one cell"):
        name = f"{ARMS[at]}, {budget} labels"
        yield from power(pools[budget][at : at + 1], planned, pilots, draws, name)
    for budget, planned in watched(list(product(BUDGETS, alike)), "planning: six cells of one baseline"):
        yield from power(pools[budget], planned, pilots, draws, f"mean of {MANY} cells, {budget} labels")


def power(pool: np.ndarray, planned: Planned, pilots: int, draws: int, name: str) -> Iterator[Finding]:
    """pool [cells, S, N], all planned for by the mean of their spreads. The power of an effect is a mean over
    its two signs, and over cells.

    smallest effect, true: what has that power; planned: the pilots' mean. lowest, highest: of the pilots',
    in parts of the true one, from the 10 % to the 90 % quantile."""
    rng = generator("calibration", "planning", name, str(planned))
    spreads = pilot_spreads(pool, planned.pilot, pilots, rng)
    fresh: list[list[Effects]] = [[] for _ in pool]
    for cells in resampled(pool, planned.seeds, planned.items, draws, rng):
        for found, d in zip(fresh, cells, strict=True):
            found.append(Layout(d).effects())
    for m in FAMILIES:
        alpha = ALPHA / m
        needed = found_from(fresh, pool, alpha)
        effects = np.array(
            [spread.smallest_effect(planned.seeds, planned.items, alpha) for spread in spreads]
        )
        powers = np.searchsorted(needed, effects) / len(needed)
        mean, true = float(powers.mean()), float(np.quantile(needed, POWER))
        is_small = float(effects.mean()) < LARGEST
        detail = {
            "smallest effect": true,
            "planned": float(effects.mean()),
            "lowest": float(np.quantile(effects, LOW)) / true,
            "highest": float(np.quantile(effects, HIGH)) / true,
            "lowest power": float(np.quantile(powers, LOW)),
            "promised": "yes" if is_small and planned.is_within_reach else "no",
        }
        yield Finding(
            "planning",
            f"{name}, {planned}, family of {m}",
            POWER,
            mean,
            abs(mean - POWER) <= TOLERANCE or not is_small,
            pilots,
            "smallest effect",
            detail,
            limit=not planned.is_within_reach,
        )


def pilot_spreads(
    pool: np.ndarray, numbers: tuple[int, int], pilots: int, rng: np.random.Generator
) -> list[Spread]:
    """Of pilots of so many seeds and items, each the mean of the pool's cells."""
    found: list[Spread] = []
    for cells in resampled(pool, *numbers, pilots, rng):
        by_pilot = zip(*cells, strict=True)
        found += [Spread.mean([Spread.of(d) for d in pilot]) for pilot in by_pilot]
    return found


def found_from(fresh: Sequence[Sequence[Effects]], pool: np.ndarray, alpha: float) -> np.ndarray:
    """The true effect from which on each experiment tells it, of either sign, in order."""
    from_on = []
    for effects, cell in zip(fresh, pool, strict=True):
        for part in effects:
            deviation, half = part.delta - cell.mean(), part.half(alpha)
            from_on += [half - deviation, half + deviation]
    return np.sort(np.concatenate(from_on))
