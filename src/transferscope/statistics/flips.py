"""Items that change sides between two arms, beyond those that change sides between two runs of the baseline.

A run of the strategy is held against a run of the baseline of *another* seed, and so is a run of the baseline
itself: both pairs share neither labelled subset nor initialisation, so that what is left between them is the
strategy's doing."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from transferscope.statistics.effect import group_means, item_df

LEAST_SEEDS = 3  # for an interval: the jackknife leaves out one, and a pair takes two


@dataclass(frozen=True)
class Excess:
    """Shares of the items. value: lost between a run of either arm, of different seeds; reference: between
    two runs of the baseline. delta: value − reference; ci: of it, over seeds and items, pointwise; None with
    fewer than 3 seeds."""

    value: float
    reference: float
    delta: float
    ci: tuple[float, float] | None


def lost(s: np.ndarray, b: np.ndarray, groups: np.ndarray | None, alpha: float) -> Excess:
    """Runs of either arm [K, n], 1 where right, K ≥ 2; groups [n] or None, which then count as the item.

    With k ≠ l two seeds: value = mean of b_l (1 − s_k), reference = mean of b_l (1 − b_k), over pairs and
    items. Over seeds: the jackknife's variance, with K − 1 degrees of freedom; over items: two pseudo-items
    and ν as in `effect.estimate`; the two added as there. What is won is what is lost of 1 − s and 1 − b."""
    value, reference = group_means(np.stack([_crossed(b, 1 - x) for x in (s, b)]), groups)
    items = value - reference
    delta, seeds = float(items.mean()), len(b)
    ci = None
    if seeds >= LEAST_SEEDS:
        every = np.arange(seeds)
        left = [_crossed(b[rest], b[rest] - s[rest]) for rest in (np.delete(every, k) for k in every)]
        without = group_means(np.stack(left), groups).mean(axis=1)
        by_seed = (seeds - 1) / seeds * np.sum((without - np.mean(without)) ** 2)
        by_item = (2 + np.sum((items - delta) ** 2)) / (len(items) + 2) ** 2
        half = math.hypot(
            stdtrit(seeds - 1, alpha / 2) * math.sqrt(by_seed),
            stdtrit(item_df(items, 1.0, None), alpha / 2) * math.sqrt(by_item),
        )
        ci = delta - half, delta + half
    return Excess(float(value.mean()), float(reference.mean()), delta, ci)


def _crossed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[K, n], [K, n] -> [n]: mean of x_l y_k over l ≠ k."""
    seeds = len(x)
    crossed: np.ndarray = (x.sum(0) * y.sum(0) - (x * y).sum(0)) / (seeds * (seeds - 1))
    return crossed
