"""`verdict.estimate` for many experiments at once: the same arithmetic from sums of squares, without a Python loop over draws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from transferscope.statistics.effect import SMALLEST_P, detectable_factor


def t_quantile(alpha: float, df: float | np.ndarray) -> np.ndarray:
    """The 1 − alpha/2 quantile of Student's t; infinite df are the normal."""
    return -stdtrit(np.minimum(df, 1e10), alpha / 2)


@dataclass(frozen=True)
class Effects:
    """`verdict.Effect` of many experiments of one size. delta, seed_variance, item_variance: [B], or [m, B] of families of m cells."""

    delta: np.ndarray
    seed_variance: np.ndarray
    item_variance: np.ndarray
    seeds: int
    items: int

    def half(self, alpha: float | np.ndarray) -> np.ndarray:
        seed, item = t_quantile(alpha, self.seeds - 1), t_quantile(alpha, self.items + 1)
        return np.sqrt(seed**2 * self.seed_variance + item**2 * self.item_variance)

    def minimum_detectable(self, alpha: float) -> np.ndarray:
        seed, item = (detectable_factor(alpha, df) for df in (self.seeds - 1, self.items + 1))
        return np.sqrt(seed * self.seed_variance + item * self.item_variance)

    def misses(self, truth: float, alpha: float) -> np.ndarray:
        """bool [B]: the interval does not hold the truth."""
        return np.abs(self.delta - truth) > self.half(alpha)

    def p_value(self, x: float, above: float) -> np.ndarray:
        """`Effect.p_value`, where it is at most `above`; 1 elsewhere, which no decision at that level can tell from it."""
        gap, p = np.abs(self.delta - x), np.ones_like(self.delta)
        at = gap >= self.half(above)
        some = replace(self, **{name: getattr(self, name)[at] for name in ("delta", "seed_variance", "item_variance")})
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


def family(cells: Sequence[Effects]) -> Effects:
    """m cells, each [B] -> one, [m, B]."""
    return replace(cells[0], **{name: np.stack([getattr(cell, name) for cell in cells]) for name in ("delta", "seed_variance", "item_variance")})


@dataclass(frozen=True)
class Sums:
    """All that the interval takes from many two-way layouts d [B, K, n]: sums over items, which add where items do not overlap.

    row: Σ d of each seed [B, K]. square: Σ d². column_square and column_fourth: Σ over items of the squares and fourth powers of the items'
    sums over seeds. Each [B]. items: n; those on which all d are 0 count here alone.
    """

    row: np.ndarray
    square: np.ndarray
    column_square: np.ndarray
    column_fourth: np.ndarray
    differing: np.ndarray
    items: int

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @property
    def seeds(self) -> int:
        return self.row.shape[1]

    def mean_squares(self, w: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """MS_seed, MS_item, MS_rest [B] and n; with w [B], after two pseudo-items +w, −w have joined every row."""
        n, added = (self.items, 0.0) if w is None else (self.items + 2, 2 * w**2)
        row = self.row / n
        grand = row.mean(axis=1)
        seed = n * np.sum((row - grand[:, None]) ** 2, axis=1)
        item = self.column_square / self.seeds + self.seeds * (added - n * grand**2)
        total = self.square + self.seeds * (added - n * grand**2)
        k = self.seeds - 1
        return seed / k, item / (n - 1), (total - item - seed) / (k * (n - 1)), n

    def effects(self, unit: float = 1.0, influence: np.ndarray | None = None) -> Effects:
        """The interval under test. influence [B]: where d are differences of influence values, as in `estimate`."""
        if influence is not None:
            return self._effects(*self.mean_squares(), 2 * influence**2 / ((self.items + 1) * (self.items + 2)))
        w = np.sqrt((2 + self.column_square / self.seeds**2) / (2 + self.differing))
        return self._effects(*self.mean_squares(w), 0.0)

    def plain(self) -> Effects:
        """The same interval without pseudo-items, n − 1 degrees of freedom for the items: to hold the one under test against."""
        return replace(self._effects(*self.mean_squares(), 0.0), items=self.items - 2)

    def _effects(self, ms_seed: np.ndarray, ms_item: np.ndarray, ms_rest: np.ndarray, n: int, least: float | np.ndarray) -> Effects:
        return Effects(
            delta=self.row.mean(axis=1) / self.items,
            seed_variance=np.maximum(ms_seed / n, 1 / (12 * n**2)) / self.seeds,
            item_variance=np.maximum((ms_item - ms_rest) / (self.seeds * n), least),
            seeds=self.seeds,
            items=self.items,
        )


class Layout:
    """Many two-way layouts d [B, K, n], with row means, column means and sums each taken once for all methods."""

    def __init__(self, d: np.ndarray):
        self.d = d = np.asarray(d, dtype=float)
        self.draws, self.seeds, self.items = d.shape
        self.row = d.mean(axis=2)  # [B, K]
        self.delta = self.row.mean(axis=1)  # [B]

    @cached_property
    def sums(self) -> Sums:
        column = self.d.sum(axis=1)
        return Sums(
            row=self.row * self.items,
            square=np.einsum("bkn,bkn->b", self.d, self.d),
            column_square=np.sum(column**2, axis=1),
            column_fourth=np.sum(column**4, axis=1),
            differing=np.count_nonzero(column, axis=1),
            items=self.items,
        )

    def mean_squares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        return self.sums.mean_squares()

    def effects(self, unit: float = 1.0, influence: np.ndarray | None = None) -> Effects:
        return self.sums.effects(unit, influence)
