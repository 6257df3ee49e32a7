"""Δ of parts of the test items (classes, subgroups), a family of their own: Holm within it, intervals that hold for all parts at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferscope import verdict
from transferscope.evidence.shrinkage import shrink
from transferscope.statistics import effect


@dataclass(frozen=True)
class Part:
    """One part: n items (or groups). ci: at alpha divided by the number of parts. p_adjusted: Holm over the parts. shrunken: Δ drawn
    towards the mean of the parts, for a sentence that names the most extreme one."""

    name: str
    n: int
    delta: float
    ci: tuple[float, float]
    p_adjusted: float
    shrunken: float

    @property
    def excludes_zero(self) -> bool:
        return self.ci[0] > 0 or self.ci[1] < 0


def differences(d: np.ndarray, part: np.ndarray, names: Sequence[str], groups: np.ndarray | None, alpha: float, unit: float = 1.0) -> list[Part]:
    """d [K, n] of a metric of this unit, K >= 2, part [n] (index into names), groups [n] or None -> the parts that have test items, in the
    order of names."""
    present = [k for k in range(len(names)) if np.any(part == k)]
    units = [effect.group_means(d[:, part == k], None if groups is None else groups[part == k]) for k in present]  # each [K, items]
    found = [effect.estimate(items, unit) for items in units]
    adjusted = verdict.holm([one.p_value() for one in found], len(found))
    shrunken = shrink([one.delta for one in found], [one.seed_variance + one.item_variance for one in found])
    return [
        Part(str(names[k]), one.items, one.delta, one.interval(alpha / len(found)), float(p), float(drawn))
        for k, one, p, drawn in zip(present, found, adjusted, shrunken, strict=True)
    ]


def worst(parts: Sequence[Part]) -> Part | None:
    """The part that loses most, only where its interval lies below zero: by chance alone the worst of ten classes loses points."""
    return min((part for part in parts if part.ci[1] < 0), key=lambda part: part.delta, default=None)
