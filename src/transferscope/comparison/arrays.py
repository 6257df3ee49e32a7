"""The verdict on two arrays of scores, for who has these at hand."""

import math
from typing import Any

import numpy as np

from transferscope.errors import RequestError
from transferscope.statistics.verdict import Judgement, Pair, group_means, judge


def verdict(
    strategy: Any,
    baseline: Any,
    *,
    groups: Any = None,
    margin: float = 0.01,
    alpha: float = 0.05,
    score_range: tuple[float, float] = (0.0, 1.0),
    items: str = "random",
) -> Judgement:
    """Does the strategy score more than the baseline, on other items and with other seeds?

    strategy, baseline: [seeds, items], higher is better, seeds and items in the same order; or [items] of one
    trained model each, and then the claim is about these two models on other items. groups [items]: of items
    that belong together (of one writer, patient, series), which count once. margin: the smallest difference
    that matters. score_range: the lowest and the highest score that an item can have; without a bound no
    interval holds. items: `random` for a claim about other items too, `fixed` for one about these.

    Gives delta, ci, verdict (positive, negative, equivalent, undecided), reason, mde and more
    (`statistics.verdict.Judgement`). Several comparisons are a family: `compare` allows for their number, and
    `alpha` divided by it does as well. Collapsed runs and unfinished training cannot be seen in scores.
    Raises RequestError."""
    a, b = (np.atleast_2d(np.asarray(scores, dtype=float)) for scores in (strategy, baseline))
    low, high = score_range
    if not (low < high and math.isfinite(high - low)):
        raise RequestError(f"verdict: score_range ({low:g}, {high:g}): two finite numbers in this order")
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise RequestError(f"verdict: two arrays [seeds, items] are needed, got {a.shape} and {b.shape}")
    for name, scores in (("strategy", a), ("baseline", b)):
        if not ((scores >= low) & (scores <= high)).all():  # nan is neither
            seed, item = np.argwhere(~((scores >= low) & (scores <= high)))[0]
            raise RequestError(
                f"verdict: {name}[{seed}, {item}] is {scores[seed, item]:g}, outside of score_range "
                f"({low:g}, {high:g})"
            )
    if items not in ("random", "fixed") or items == "fixed" and len(a) == 1:
        raise RequestError(f"verdict: items={items!r}: 'random', or with several seeds 'fixed'")
    if not 0 <= margin < high - low or not 0 < alpha < 1:
        raise RequestError(
            f"verdict: margin={margin:g}, alpha={alpha:g}: from 0 to {high - low:g}, from 0 to 1"
        )
    if groups is not None:
        groups = np.asarray(groups)
        if np.any(groups != groups) or groups.dtype == object and None in groups.tolist():
            raise RequestError("verdict: groups: an item without a group; give it one of its own")
        if groups.shape != a.shape[1:]:
            raise RequestError(f"verdict: groups of shape {groups.shape} for {a.shape[1]} items")
    is_binary = bool(np.isin([a, b], (low, high)).all())
    span = high - low
    d = group_means(a - b, groups)
    none = np.zeros(len(d), bool)
    pair = Pair(
        d=d,
        strategy_collapsed=none,
        baseline_collapsed=none,
        smallest_class=d.shape[1],
        chance="seeds" if items == "fixed" else "items" if len(d) == 1 else "both",
        unit=span if is_binary else span / 2,
        span=span,
    )
    return judge([pair], margin, alpha, 1)[0]
