"""`verdict.estimate` for many experiments at once: the same arithmetic from sums of squares, without a Python loop over draws."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from transferscope.statistics.effect import Effect, detectable_factor


def t_quantile(alpha: float, df: float | np.ndarray) -> np.ndarray:
    """The 1 − alpha/2 quantile of Student's t; infinite df are the normal."""
    return -stdtrit(np.minimum(df, 1e10), alpha / 2)


@dataclass(frozen=True)
class Effects:
    """`verdict.Effect` of many experiments of one size. delta, seed_variance, item_variance: [B]."""

    delta: np.ndarray
    seed_variance: np.ndarray
    item_variance: np.ndarray
    seeds: int
    items: int

    def half(self, alpha: float) -> np.ndarray:
        seed, item = t_quantile(alpha, self.seeds - 1), t_quantile(alpha, self.items + 1)
        return np.sqrt(seed**2 * self.seed_variance + item**2 * self.item_variance)

    def minimum_detectable(self, alpha: float) -> np.ndarray:
        seed, item = (detectable_factor(alpha, df) for df in (self.seeds - 1, self.items + 1))
        return np.sqrt(seed * self.seed_variance + item * self.item_variance)

    def misses(self, truth: float, alpha: float) -> np.ndarray:
        """bool [B]: the interval does not hold the truth."""
        return np.abs(self.delta - truth) > self.half(alpha)

    def one(self, b: int) -> Effect:
        return Effect(float(self.delta[b]), float(self.seed_variance[b]), float(self.item_variance[b]), self.seeds, self.items)


class Layout:
    """Row means, column means and sums of squares of many two-way layouts d [B, K, n], each taken once for all methods."""

    def __init__(self, d: np.ndarray):
        self.d = d = np.asarray(d, dtype=float)
        self.draws, self.seeds, self.items = d.shape
        self.row = d.mean(axis=2)  # [B, K]
        self.column = d.mean(axis=1)  # [B, n]
        self.delta = self.row.mean(axis=1)  # [B]

    @cached_property
    def square(self) -> np.ndarray:
        return np.einsum("bkn,bkn->b", self.d, self.d)

    def mean_squares(self, w: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """MS_seed, MS_item, MS_rest [B] and n; with w [B], after two pseudo-items +w, −w have joined every row."""
        n, added = (self.items, 0.0) if w is None else (self.items + 2, 2 * w**2)
        row = self.row * self.items / n
        grand = row.mean(axis=1)
        seed = n * np.sum((row - grand[:, None]) ** 2, axis=1)
        item = self.seeds * (np.sum(self.column**2, axis=1) + added - n * grand**2)
        total = self.square + self.seeds * (added - n * grand**2)
        k = self.seeds - 1
        return seed / k, item / (n - 1), (total - item - seed) / (k * (n - 1)), n

    def effects(self) -> Effects:
        """The interval under test."""
        w = np.sqrt((2 + np.sum(self.column**2, axis=1)) / (2 + np.count_nonzero(self.column, axis=1)))
        ms_seed, ms_item, ms_rest, n = self.mean_squares(w)
        return Effects(
            delta=self.delta,
            seed_variance=np.maximum(ms_seed / n, 1 / (12 * n**2)) / self.seeds,
            item_variance=np.maximum(ms_item - ms_rest, 0) / (self.seeds * n),
            seeds=self.seeds,
            items=self.items,
        )
