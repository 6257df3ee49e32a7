"""What an experiment that is not made yet would find: the smallest effect, and the seeds or test items that
an effect needs. Pure functions; nothing here knows of runs or files.

It is `Effect.minimum_detectable` of the experiment that is to be expected, from what varied in a pilot:
seeds, items, and the two together, each taken to numbers of their own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, nctdtr

from transferscope.statistics.effect import (
    MANY,
    SEEDS_WITHIN_REACH,
    SPREAD_QUANTILE,
    SPREAD_QUANTILE_OF_MANY,
    Effect,
    least_item_variance,
    mean_squares,
    rounding,
    spread_doubt,
    t_quantile,
)

ITEMS_WITHIN_REACH = 1_000_000
FEWEST_ITEMS = 10
# of a pilot's items, for which the power is promised: few seeds on few items hardly tell the two apart
MOST_TIMES = 2
LOW, HIGH = 0.1, 0.9  # of what a pilot may have found in place of its median


@dataclass(frozen=True)
class Spread:
    """What the differences d[s, i] of a cell vary by, in the score's unit squared.

    row: of the means of seeds over `items` items; inf, of seeds themselves. rest: of one item of one seed,
    beside what its seed and its other seeds share. item: of the items' true means over seeds. square, fourth:
    means over items of the second and fourth powers of their means over the pilot's seeds (of influence
    values less their mean). unit, influence: as `estimate` has them. pilot: the seeds it was found in; None
    where it is taken as known, or where no seed changes anything. cells: of one baseline that it is the mean
    of."""

    row: float
    rest: float
    item: float
    square: float
    fourth: float
    items: float = math.inf
    unit: float = 1.0
    influence: float | None = None
    pilot: int | None = None
    cells: int = 1

    @classmethod
    def of(cls, d: np.ndarray, unit: float = 1.0, influence: float | None = None) -> "Spread":
        """d [K, n], of seeds and items (or groups); with a single row no seed changes anything."""
        seeds, n = d.shape
        c = d.mean(axis=0) if influence is None else d.mean(axis=0) - d.mean()
        found = cls(
            0.0,
            0.0,
            float(c.var(ddof=1)),
            float(np.mean(c**2)),
            float(np.mean(c**4)),
            items=n,
            unit=unit,
            influence=influence,
        )
        if seeds == 1:
            return found
        ms_seed, ms_item, ms_rest = mean_squares(d)
        item = max(ms_item - ms_rest, 0.0) / seeds
        return replace(found, row=ms_seed / n, rest=ms_rest, item=item, pilot=seeds)

    @classmethod
    def mean(cls, spreads: Sequence["Spread"]) -> "Spread":
        """Of cells of one baseline, which vary much alike: from `MANY` cells on their mean is better known
        than a single one."""
        pilots = [spread.pilot for spread in spreads if spread.pilot is not None]
        parts = ("row", "rest", "item", "square", "fourth", "items", "unit")
        means = {part: float(np.mean([getattr(spread, part) for spread in spreads])) for part in parts}
        changes = [spread.influence for spread in spreads if spread.influence is not None]
        return cls(
            **means,
            influence=float(np.mean(changes)) if changes else None,
            pilot=min(pilots) if pilots else None,
            cells=len(spreads),
        )

    @property
    def doubt(self) -> float:
        """What `row` is multiplied by, for the pilot may have found too little of it."""
        quantile = SPREAD_QUANTILE_OF_MANY if self.cells >= MANY else SPREAD_QUANTILE
        return 1.0 if self.pilot is None else spread_doubt(self.pilot - 1, quantile)

    def row_of(self, items: int) -> float:
        """Variance of the means of seeds over so many items, as it is to be planned with. What few seeds tell
        of it may be too little; `rest`, of which every item tells, is known."""
        row, rest = self.doubt * self.row, self.rest
        other = rest / items - rest / self.items
        # rows of the pilot that differ less than chance has them: then all of it is chance
        return max(row + other, min(row * self.items if row else 0.0, rest) / items)

    def expected(self, seeds: int, items: int) -> Effect:
        """What `estimate` is to be expected to give, at Δ = 0, with so many seeds and items."""
        n, u = items, self.unit
        square, fourth = n * self.square, n * self.fourth
        row, raw = self.row_of(n), self.item / n
        if self.influence is not None:
            w = self.influence
            variance, most = max(raw, least_item_variance(n, w)), max(n - 1, 1)
        else:
            w, most = u, n + 1
            row *= (n / (n + 2)) ** 2
            variance = ((n - 1) * self.item + 2 * u**2) / ((n + 1) * (n + 2))
        is_seedless = self.pilot is None and self.row + self.rest == 0
        return Effect(
            delta=0.0,
            seed_variance=0.0 if is_seedless else max(row, rounding(u, n)) / seeds,
            item_variance=variance,
            seeds=seeds,
            items=n,
            item_df=min(most, (2 * w**2 + square) ** 2 / (2 * w**4 + fourth)),
            raw_item_variance=raw,
        )

    def smallest_effect(self, seeds: int, items: int, alpha: float) -> float:
        """The true |Δ| that an experiment of so many seeds, ≥ 2, and items tells from 0 at level alpha with
        probability 0.8."""
        return self.expected(seeds, items).minimum_detectable(alpha, doubt=1.0)

    def items_needed(self, effect: float, seeds: int, alpha: float) -> int | None:
        """Test items with which so many seeds find `effect`; None where ITEMS_WITHIN_REACH do not suffice."""
        return _fewest(
            lambda items: self.smallest_effect(seeds, items, alpha) <= effect,
            FEWEST_ITEMS,
            ITEMS_WITHIN_REACH,
        )

    def seeds_needed(self, effect: float, items: int, alpha: float) -> int | None:
        """Seeds with which so many items find `effect`; None where SEEDS_WITHIN_REACH do not suffice."""
        return _fewest(
            lambda seeds: self.smallest_effect(seeds, items, alpha) <= effect, 2, SEEDS_WITHIN_REACH
        )


def _fewest(suffices: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number, low to high, that suffices; what suffices does so with more."""
    if not suffices(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return low


def left_open(pilot: int) -> tuple[float, float]:
    """What a pilot of so many seeds leaves open of an effect that hangs on seeds: with probability 0.8 the
    planned one lies between these multiples of its median."""
    low, middle, high = (float(chdtri(pilot - 1, 1 - q)) for q in (LOW, 0.5, HIGH))
    return math.sqrt(low / middle), math.sqrt(high / middle)


def power_over_domains(domains: int, alpha: float = 0.05) -> float:
    """How often a t test over so many domains tells their mean effect from 0 where the effects of domains
    differ by as much (sd) as their mean, and each is measured with as large an error."""
    nc, t = math.sqrt(domains / 2), t_quantile(alpha, domains - 1)
    return float(1 - nctdtr(domains - 1, nc, t) + nctdtr(domains - 1, nc, -t))
