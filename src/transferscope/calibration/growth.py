"""Stores that grow: seeds added because a verdict was looked at, and strategies added one command at a time.

Cells are differences of Gaussian arms to a baseline that they share, on test items that stay the same. A
reading judges them as `verdict.judge` does: each of the two claims by Holm's procedure, p-values times 5 for
every reading of the cell before its seeds grew."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from transferscope.calibration.deciding import by_holm, claims, course
from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, most_errors, watched
from transferscope.calibration.many import Effects, Layout, family
from transferscope.data.splits import generator
from transferscope.statistics.effect import SEEDS_WITHIN_REACH
from transferscope.statistics.sequential import Design
from transferscope.statistics.verdict import PRICE_OF_A_READING

SHARE = 5  # one family for so many draws of a point
CELLS = 600  # drawn at a time
FIRST = 5  # seeds at the first reading
TIMES = 4  # that the advice is followed
LOOKS = (5, 10, 20)
FAMILY = 12
ITEMS = 1000
SEED_SD, ITEM_SD, REST_SD = 0.015, 0.05, 0.25  # of an arm's score: by seed, by item for good, by both
ONE_SD = math.sqrt(2 * (SEED_SD**2 + REST_SD**2 / ITEMS))  # of a cell's Δ from seed to seed
POWER = {1: 0.80, FAMILY: 0.65}  # at least, of a true difference of one sd

# seeds of each cell at the next reading, from the level that is left to it
Next = Callable[["Reading", np.ndarray], np.ndarray]


def study(size: Size) -> Iterator[Finding]:
    draws = max(1, size.draws // SHARE)
    for cells in (1, FAMILY):
        yield nulls(
            cells,
            draws,
            f"nulls, family of {cells}, the advice followed {TIMES} times from {FIRST} seeds",
            advised,
            TIMES,
        )
    yield nulls(
        1,
        draws,
        f"nulls, family of 1, a look at every seed from {FIRST} to {LOOKS[-1]}",
        one_more,
        LOOKS[-1] - FIRST,
    )
    for seeds in LOOKS[:2]:
        yield one_by_one(seeds, draws, f"{FAMILY} null strategies, one command at a time, K={seeds}")
    for cells in (1, FAMILY):
        yield found(
            cells,
            draws,
            (
                f"a difference of one sd, family of {cells}, the advice followed {TIMES} times from {FIRST} "
                "seeds"
            ),
        )


class Store:
    """Families of cells whose arms get seeds when they are asked for. Cell 0 is off by `truth`, the others
    are nulls."""

    def __init__(self, cells: int, families: int, truth: float, rng: np.random.Generator):
        self.rng, self.truth, self.shape = rng, truth, (cells, families)
        # the baseline comes last
        self.scores = np.empty((cells + 1, families, SEEDS_WITHIN_REACH, ITEMS), dtype=np.float32)
        self.item = self._normal(cells + 1, families, ITEMS) * np.float32(ITEM_SD)
        self.has = np.zeros((cells + 1, families), dtype=int)

    def _normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape, dtype=np.float32)

    def grow(self, seeds: np.ndarray) -> None:
        """Every cell to at least so many seeds [m, B], and the baseline of each family with them."""
        wanted = np.vstack([seeds, seeds.max(axis=0, keepdims=True)])
        new = np.arange(SEEDS_WITHIN_REACH)[None, None] < wanted[:, :, None]
        new &= np.arange(SEEDS_WITHIN_REACH)[None, None] >= self.has[:, :, None]
        arm, where, seed = np.nonzero(new)
        scores = self._normal(len(arm), ITEMS) * np.float32(REST_SD) + self._normal(len(arm), 1) * np.float32(
            SEED_SD
        )
        self.scores[arm, where, seed] = scores + self.item[arm, where]
        self.has = np.maximum(self.has, wanted)

    def differences(self, cell: np.ndarray, where: np.ndarray, seeds: int) -> np.ndarray:
        """d [B, K, n] of the cells (cell, where), each [B]."""
        d = self.scores[cell, where, :seeds] - self.scores[-1, where, :seeds]
        return d + np.where(cell == 0, np.float32(self.truth), np.float32(0))[:, None, None]

    def effects(self, seeds: int) -> Effects:
        """Of all cells with so many seeds, [m, B]."""
        self.grow(np.full(self.shape, seeds))
        every = np.arange(self.shape[1])
        return family(
            [
                Layout(self.differences(np.full(len(every), cell), every, seeds)).effects()
                for cell in range(self.shape[0])
            ]
        )


@dataclass(frozen=True)
class Reading:
    """All cells at the seeds they have [m, B]: p-values of either claim, and the effects of those that have
    equally many."""

    seeds: np.ndarray
    apart: np.ndarray
    inside: np.ndarray
    groups: list[tuple[tuple[np.ndarray, np.ndarray], Effects]]

    @classmethod
    def first(cls, store: Store) -> "Reading":
        nothing = cls(np.zeros(store.shape, dtype=int), np.ones(store.shape), np.ones(store.shape), [])
        return nothing.again(store, np.full(store.shape, FIRST))

    def again(self, store: Store, seeds: np.ndarray) -> "Reading":
        """With so many seeds; of cells that have got none, what was found stays."""
        store.grow(seeds)
        apart, inside, grown = self.apart.copy(), self.inside.copy(), seeds > self.seeds
        groups = [
            (tuple(index[~grown[at]] for index in at), effects.at(~grown[at])) for at, effects in self.groups
        ]
        for number in np.unique(seeds[grown]):
            at = np.nonzero(grown & (seeds == number))
            effects = Layout(store.differences(*at, int(number))).effects()
            apart[at], inside[at] = claims(effects, MARGIN, ALPHA)
            groups.append((at, effects))
        return Reading(seeds, apart, inside, [group for group in groups if len(group[0][0])])


def advised(reading: Reading, level: np.ndarray) -> np.ndarray:
    """About so many seeds in all, as `verdict.judge` says for an undecided cell; those it has where other
    things are wanting."""
    wanted = reading.seeds.copy()
    for at, effects in reading.groups:
        gap = np.maximum(np.abs(effects.delta), MARGIN - np.abs(effects.delta))
        enough = fewest(effects, gap, level[at])
        within_reach = with_seeds(effects, SEEDS_WITHIN_REACH).half(level[at]) < gap
        wanted[at] = np.where(within_reach, np.maximum(enough, effects.seeds + 1), effects.seeds)
    return wanted


def fewest(effects: Effects, gap: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Seeds [B] with which the half-width is expected below `gap`, at most those within reach, by
    bisection."""
    low, high = np.ones(gap.shape, dtype=int), np.full(gap.shape, SEEDS_WITHIN_REACH)
    while np.any(high - low > 1):
        middle = np.maximum((low + high) // 2, 2)
        below = with_seeds(effects, middle).half(level) < gap
        low, high = np.where(below, low, middle), np.where(below, middle, high)
    return high


def with_seeds(effects: Effects, seeds: int | np.ndarray) -> Effects:
    """As is to be expected with other numbers of seeds and the same spread."""
    return replace(effects, seed_variance=effects.seed_variance * effects.seeds / seeds, seeds=seeds)


def one_more(reading: Reading, level: np.ndarray) -> np.ndarray:
    return reading.seeds + 1


def followed(store: Store, then: Next, times: int, price: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(difference told at the last reading, at any reading, seeds at the last one), each [m, B]. Undecided
    cells grow after each."""
    reading, read, cells = Reading.first(store), np.zeros(store.shape), store.shape[0]
    ever = np.zeros(store.shape, dtype=bool)
    for number in range(times + 1):
        apart, inside = (
            by_holm(np.minimum(1, p * price**read), cells, ALPHA) for p in (reading.apart, reading.inside)
        )
        ever |= apart
        if number < times:
            left = ALPHA / np.maximum(cells - apart.sum(axis=0), 1)
            wanted = np.where(apart | inside, reading.seeds, then(reading, left / price ** (read + 1)))
            read += wanted > reading.seeds
            reading = reading.again(store, wanted)
    return apart, ever, reading.seeds


def stores(cells: int, draws: int, truth: float, setting: str) -> Iterator[Store]:
    rng, at_once = generator("calibration", "growth", setting), CELLS // cells
    for start in watched(range(0, draws, at_once), f"growth, {setting}"):
        yield Store(cells, min(at_once, draws - start), truth, rng)


def nulls(cells: int, draws: int, setting: str, then: Next, times: int) -> Finding:
    """How often a family is ever told a false difference."""
    claimed = {"priced": [], "at alpha each time": []}
    for store in stores(cells, draws, 0.0, setting):
        for name, price in zip(claimed, (PRICE_OF_A_READING, 1), strict=True):
            claimed[name] += followed(store, then, times, price)[1].any(axis=0).tolist()
    rate, bar = float(np.mean(claimed["priced"])), most_errors(ALPHA, draws)
    return Finding(
        "growth",
        setting,
        ALPHA,
        rate,
        rate <= bar,
        draws,
        detail={"bar": bar, "at alpha each time": float(np.mean(claimed["at alpha each time"]))},
    )


def one_by_one(seeds: int, draws: int, setting: str) -> Finding:
    """Null strategies judged in the family of those so far: what stands once all are there, and what was told
    on the way."""
    stands, ever, alone = [], [], []
    for store in stores(FAMILY, draws, 0.0, setting):
        apart, _ = claims(store.effects(seeds), MARGIN, ALPHA)
        steps = [by_holm(apart[:size], size, ALPHA).any(axis=0) for size in range(1, FAMILY + 1)]
        stands += steps[-1].tolist()
        ever += np.any(steps, axis=0).tolist()
        alone += (apart <= ALPHA).any(axis=0).tolist()
    rate, bar = float(np.mean(stands)), ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / draws)
    detail = {"bar": bar, "told on the way": float(np.mean(ever)), "families of one": float(np.mean(alone))}
    return Finding("growth", setting, ALPHA, rate, rate <= bar, draws, detail=detail)


def found(cells: int, draws: int, setting: str) -> Finding:
    """How often the one cell that differs is found; beside it what a plan made beforehand finds."""
    claimed = {
        "priced": [],
        "at alpha each time": [],
        f"looks at {', '.join(map(str, LOOKS))}": [],
        f"one look at {LOOKS[-1]}": [],
    }
    advice, before, looks, once = claimed
    seeds = []
    for store in stores(cells, draws, ONE_SD, setting):
        stands, _, reached = followed(store, advised, TIMES, PRICE_OF_A_READING)
        claimed[advice] += stands[0].tolist()
        seeds += reached[0].tolist()
        claimed[before] += followed(store, advised, TIMES, 1)[0][0].tolist()
        effects = [store.effects(number) for number in LOOKS]
        claimed[looks] += course(effects, MARGIN, Design(LOOKS, ALPHA)).difference[0].tolist()
        claimed[once] += by_holm(claims(effects[-1], MARGIN, ALPHA)[0], cells, ALPHA)[0].tolist()
    rates = {name: float(np.mean(values)) for name, values in claimed.items()}
    rate = rates.pop(advice)
    return Finding(
        "growth",
        setting,
        POWER[cells],
        rate,
        rate >= POWER[cells],
        draws,
        detail={"mean seeds": float(np.mean(seeds)), **rates},
    )
