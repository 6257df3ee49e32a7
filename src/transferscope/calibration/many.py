"""`verdict.estimate` for many experiments at once: the same arithmetic from sums of squares, without a Python
loop over draws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import ndtri, stdtrit

from transferscope.statistics.effect import POWER, SMALLEST_P, noncentrality, spread_doubt


def t_quantile(alpha: float, df: float | np.ndarray) -> np.ndarray:
    """The 1 − alpha/2 quantile of Student's t; infinite df are the normal."""
    return -stdtrit(np.minimum(df, 1e10), alpha / 2)


@dataclass(frozen=True)
class Effects:
    """`verdict.Effect` of many experiments of one size. Arrays [B], or [m, B] of families of m cells."""

    delta: np.ndarray
    seed_variance: np.ndarray
    item_variance: np.ndarray
    item_df: np.ndarray
    raw_item_variance: np.ndarray
    seeds: int

    def half(self, alpha: float | np.ndarray) -> np.ndarray:
        seed, item = t_quantile(alpha, self.seeds - 1), t_quantile(alpha, self.item_df)
        return np.sqrt(seed**2 * self.seed_variance + item**2 * self.item_variance)

    def minimum_detectable(self, alpha: float) -> np.ndarray:
        item = t_quantile(alpha, self.item_df) * np.sqrt(self.item_variance) + ndtri(POWER) * np.sqrt(
            self.raw_item_variance
        )
        seed = noncentrality(alpha, self.seeds - 1) ** 2 * spread_doubt(self.seeds - 1)
        return np.sqrt(seed * self.seed_variance + item**2)

    def at(self, chosen: np.ndarray) -> "Effects":
        """Of those chosen alone, in one row."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in ARRAYS})

    def misses(self, truth: float, alpha: float) -> np.ndarray:
        """bool [B]: the interval does not hold the truth."""
        return np.abs(self.delta - truth) > self.half(alpha)

    def p_value(self, x: float, above: float) -> np.ndarray:
        """`Effect.p_value`, where it is at most `above`; 1 elsewhere, which no decision at that level can
        tell from it."""
        gap, p = np.abs(self.delta - x), np.ones_like(self.delta)
        at = gap >= self.half(above)
        some = self.at(at)
        low, high = np.full(at.sum(), np.log(SMALLEST_P)), np.zeros(at.sum())
        for _ in range(60):  # half() falls with alpha
            middle = (low + high) / 2
            wider = some.half(np.exp(middle)) > gap[at]
            low, high = np.where(wider, middle, low), np.where(wider, high, middle)
        p[at] = np.exp((low + high) / 2)
        return p

    def p_equivalence(self, margin: float, above: float) -> np.ndarray:
        inside = np.maximum(self.p_value(-margin, above), self.p_value(margin, above))
        return np.where(np.abs(self.delta) < margin, inside, 1.0)


ARRAYS = ("delta", "seed_variance", "item_variance", "item_df", "raw_item_variance")


def family(cells: Sequence[Effects]) -> Effects:
    """m cells, each [B] -> one, [m, B]."""
    return replace(cells[0], **{name: np.stack([getattr(cell, name) for cell in cells]) for name in ARRAYS})


@dataclass(frozen=True)
class Sums:
    """All that the interval takes from many two-way layouts d [B, K, n]: sums over items, which add where
    items do not overlap.

    row: Σ d of each seed [B, K]. square: Σ d² [B]. columns: Σ over items of the second, third and fourth
    powers of the items' sums over seeds [3, B]. items: n; those on which all d are 0 count here alone."""

    row: np.ndarray
    square: np.ndarray
    columns: np.ndarray
    items: int

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @property
    def seeds(self) -> int:
        return self.row.shape[1]

    @property
    def delta(self) -> np.ndarray:
        return self.row.mean(axis=1) / self.items

    def mean_squares(
        self, unit: float | np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """MS_seed, MS_item, MS_rest [B] and n; with a unit u, after two pseudo-items +u, −u have joined every
        row."""
        n, added = (self.items, 0.0) if unit is None else (self.items + 2, 2 * unit**2)
        row = self.row / n
        grand = row.mean(axis=1)
        seed = n * np.sum((row - grand[:, None]) ** 2, axis=1)
        item = self.columns[0] / self.seeds + self.seeds * (added - n * grand**2)
        total = self.square + self.seeds * (added - n * grand**2)
        seeds, items = self.seeds - 1, max(n - 1, 1)
        return seed / seeds, item / items, (total - item - seed) / (seeds * items), n

    def effects(self, unit: float | np.ndarray = 1.0, influence: np.ndarray | None = None) -> Effects:
        """The interval under test, as `estimate` has it; unit one or [B], influence [B]."""
        raw = self._effects(None, unit)
        if influence is None:
            square, _, fourth = self.columns / (self.seeds * unit) ** np.array([[2], [3], [4]])
            df = np.minimum(self.items + 1, (2 + square) ** 2 / (2 + fourth))
            return replace(self._effects(unit, unit), item_df=df, raw_item_variance=raw.item_variance)
        square, _, fourth = self._centred() / (self.seeds * influence) ** np.array([[2], [3], [4]])
        df = np.minimum(max(self.items - 1, 1), (2 + square) ** 2 / (2 + fourth))
        least = 2 * influence**2 / ((self.items + 1) * (self.items + 2))
        return replace(raw, item_df=df, item_variance=np.maximum(raw.item_variance, least))

    def plain(self) -> Effects:
        """The same interval without pseudo-items, n − 1 degrees of freedom for the items: to hold the one
        under test against."""
        return self._effects(None, 0.0)

    def _centred(self) -> np.ndarray:
        """`columns` of the items' sums less their mean."""
        n, mean = self.items, self.row.sum(axis=1) / self.items
        square, cube, fourth = self.columns
        return np.stack([
            square - n * mean**2,
            cube - 3 * mean * square + 2 * n * mean**3,
            fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * n * mean**4,
        ])  # fmt: skip

    def _effects(self, added: float | np.ndarray | None, unit: float | np.ndarray) -> Effects:
        ms_seed, ms_item, ms_rest, n = self.mean_squares(added)
        item = np.maximum((ms_item - ms_rest) / (self.seeds * n), 0.0)
        return Effects(
            delta=self.delta,
            seed_variance=np.maximum(ms_seed / n, (unit / n) ** 2 / 12) / self.seeds,
            item_variance=item,
            item_df=np.full_like(item, self.items - 1),
            raw_item_variance=item,
            seeds=self.seeds,
        )


class Layout:
    """Many two-way layouts d [B, K, n], with row means and sums each taken once for all methods."""

    def __init__(self, d: np.ndarray):
        self.d = d = np.asarray(d, dtype=float)
        self.draws, self.seeds, self.items = d.shape
        self.row = d.mean(axis=2)  # [B, K]
        self.delta = self.row.mean(axis=1)  # [B]

    @cached_property
    def sums(self) -> Sums:
        square = np.einsum("bkn,bkn->b", self.d, self.d)
        return Sums(self.row * self.items, square, powers(self.d.sum(axis=1)), self.items)

    def mean_squares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        return self.sums.mean_squares()

    def effects(self, unit: float | np.ndarray = 1.0, influence: np.ndarray | None = None) -> Effects:
        return self.sums.effects(unit, influence)


def powers(column: np.ndarray) -> np.ndarray:
    """Items' sums over seeds [B, n] -> sums over items of their second, third and fourth powers [3, B]."""
    square = column**2
    return np.stack(
        [square.sum(axis=1), np.einsum("bn,bn->b", square, column), np.einsum("bn,bn->b", square, square)]
    )
