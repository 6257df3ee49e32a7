"""False alarms: scratch against scratch in real training, and families of real pairs whose true difference is
made zero."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from transferscope.calibration import runs
from transferscope.calibration.deciding import judged
from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, most_alarms, watched
from transferscope.calibration.habits import HABITS
from transferscope.calibration.many import Effects, Layout, family
from transferscope.calibration.resampling import chunks, resampled
from transferscope.data.splits import generator

SEEDS = 5
BUDGET = 5
FAMILY_SEEDS = (3, 5, 10)
FAMILY_SHARE = 5  # a family is some dozens of cells: one family for so many draws of a point


def study(size: Size) -> Iterator[Finding]:
    yield from scratch_against_scratch(size.comparisons)
    yield from recentred_families(size)


def scratch_against_scratch(comparisons: int) -> Iterator[Finding]:
    """Two arms that are the same algorithm, every seed in one comparison only, uncorrected at 0.05.

    The items have the same expectation in both arms, so that item variance is 0: this tests the seed part
    alone."""
    began, seeds = time.perf_counter(), range(comparisons * SEEDS)
    others = range(len(seeds), 2 * len(seeds))
    first = runs.matrix(runs.SCRATCH, BUDGET, seeds)
    twin = runs.matrix(replace(runs.SCRATCH, twin=True), BUDGET, seeds)
    other = runs.matrix(runs.SCRATCH, BUDGET, others)
    seconds = (time.perf_counter() - began) / (3 * len(seeds))
    for name, arm in (("shared labelled subsets", twin), ("other labelled subsets", other)):
        yield counted(f"scratch against scratch, {name}, K={SEEDS}", arm - first, {"seconds a run": seconds})


def counted(setting: str, d: np.ndarray, more: dict[str, float]) -> Finding:
    """False alarms among the comparisons that d [comparisons · K, items] is cut into."""
    layout = Layout(d.reshape(-1, SEEDS, d.shape[1]))
    alarms = int(layout.effects().misses(0.0, ALPHA).sum())
    most = most_alarms(layout.draws)
    others = {name: float(habit(layout, 0.0, ALPHA).mean()) for name, habit in HABITS.items()}
    detail = {"false alarms": alarms, "bar": most / layout.draws, **others, **more}
    return Finding(
        "alarms",
        setting,
        ALPHA,
        alarms / layout.draws,
        alarms <= most,
        layout.draws,
        "component-wise t",
        detail,
    )


def recentred_families(size: Size) -> Iterator[Finding]:
    """Families of 12 (one budget) and 36 (three) under Holm, all cells against one scratch a budget, item
    variance as it really is.

    A cell's Δ is known, the mean of its pool; a false alarm is a decision that Δ differs from that.
    """
    families = {f"family of 12, {budget} labels": [budget] for budget in runs.BUDGETS} | {
        "family of 36": list(runs.BUDGETS)
    }
    count = max(1, size.draws // FAMILY_SHARE)
    for name, budgets in families.items():
        pool = runs.differences(runs.STRATEGIES, budgets, range(size.seeds))
        for seeds in FAMILY_SEEDS:
            rng = generator("calibration", "alarms", name, seeds)
            items = pool.shape[2]
            steps = len(list(chunks(count, seeds * items)))
            false = 0
            for cells in watched(
                resampled(pool, seeds, items, count, rng), f"nulls: {name}, K={seeds}", total=steps
            ):
                effects = [
                    recentred(Layout(d).effects(), cell.mean()) for d, cell in zip(cells, pool, strict=True)
                ]
                false += int(false_differences(effects, MARGIN, ALPHA).sum())
            rate, bar = false / count, ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / count)
            detail = {"false alarms": false, "bar": bar}
            yield Finding(
                "alarms",
                f"recentred nulls, {name}, K={seeds}",
                ALPHA,
                rate,
                rate <= bar,
                count,
                "component-wise t, Holm",
                detail,
            )


def recentred(effects: Effects, truth: float) -> Effects:
    """Δ less the truth. The scores stay as they came: a shift of them would hide from the interval that most
    differences are 0."""
    return replace(effects, delta=effects.delta - truth)


def false_differences(effects: list[Effects], margin: float, alpha: float) -> np.ndarray:
    """bool [B]: a family of m cells, one `Effects` each, in which `verdict.judge` would call some cell
    positive or negative."""
    return judged(family(effects), margin, alpha).difference.any(axis=0)
