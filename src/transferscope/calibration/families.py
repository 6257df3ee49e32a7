"""Families of real pairs decided as a sweep decides them: seeds until decided, and the false discovery rate.

Nulls with item variance: cells resampled from real runs, Δ less its known true value.
"""

import math
from collections.abc import Iterator

import numpy as np

from transferscope.calibration import runs
from transferscope.calibration.alarms import recentred
from transferscope.calibration.deciding import bh_levels, course, judged
from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, watched
from transferscope.calibration.many import Layout, family
from transferscope.calibration.resampling import chunks, resampled
from transferscope.data.splits import generator
from transferscope.statistics.sequential import Design

LOOKS = ((5, 7, 10), (5, 10, 20))
SEEDS = (5, 10)
SHARE = 5  # one family for so many draws of a point
FAMILIES = {"family of 12, 5 labels": (5,), "family of 36": runs.BUDGETS}


def study(size: Size) -> Iterator[Finding]:
    count = max(1, size.draws // SHARE)
    for name, budgets in FAMILIES.items():
        pool = runs.differences(runs.STRATEGIES, budgets, range(size.seeds))
        for looks in LOOKS:
            yield stopping(
                pool, looks, count, f"nulls until decided, {name}, looks at {', '.join(map(str, looks))}"
            )
        for seeds in SEEDS:
            yield from discoveries(pool, seeds, count, f"every other cell null, {name}, K={seeds}")


# --- seeds until decided


def stopping(pool: np.ndarray, looks: tuple[int, ...], count: int, setting: str) -> Finding:
    """How often a family of nulls has a false difference at any look, by the rules of sequential.py and where
    stopped cells leave the family."""
    rng, design = generator("calibration", "families", setting), Design(looks, ALPHA)
    items = pool.shape[2]
    courses = {"each claim": [], "open cells": []}
    for cells in watched(
        resampled(pool, looks[-1], items, count, rng),
        setting,
        total=len(list(chunks(count, looks[-1] * items))),
    ):
        layouts = [
            [recentred(Layout(d[:, :seeds]).effects(), cell.mean()) for seeds in looks]
            for d, cell in zip(cells, pool, strict=True)
        ]
        effects = [family(at_look) for at_look in zip(*layouts, strict=True)]
        for name, found in courses.items():
            found.append(course(effects, MARGIN, design, name))
    rates = {
        name: float(np.mean(np.concatenate([one.false_difference for one in found])))
        for name, found in courses.items()
    }
    rate, bar = rates["each claim"], ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / count)
    seeds = float(np.mean(np.concatenate([one.seeds for one in courses["each claim"]], axis=1)))
    detail = {"bar": bar, "mean seeds": seeds, "stopped cells leave the family": rates["open cells"]}
    return Finding(
        "families", setting, ALPHA, rate, rate <= bar, count, "component-wise t, Holm, looks", detail
    )


# --- the false discovery rate


def discoveries(pool: np.ndarray, seeds: int, count: int, setting: str) -> Iterator[Finding]:
    """Under `--correction bh`: the share of wrong claims among the decided cells, and of intervals of decided
    cells that miss the truth.

    Every other cell keeps its true Δ, the rest are made null.
    """
    rng = generator("calibration", "families", setting)
    truth = np.where(np.arange(len(pool)) % 2, 0.0, pool.mean(axis=(1, 2)))[:, None]
    wrong, missed, found = [], [], []
    for cells in watched(
        resampled(pool, seeds, pool.shape[2], count, rng),
        setting,
        total=len(list(chunks(count, seeds * pool.shape[2]))),
    ):
        effects = family(
            [
                recentred(Layout(d).effects(), cell.mean() - t)
                for d, cell, t in zip(cells, pool, truth[:, 0], strict=True)
            ]
        )
        judgement = judged(effects, MARGIN, ALPHA, "bh")
        decided = judgement.difference | judgement.equivalent
        many = np.maximum(decided.sum(axis=0), 1)
        wrong.append(judgement.false(truth[:, 0], MARGIN).sum(axis=0) / many)
        missed.append((decided & effects.misses(truth, bh_levels(effects, MARGIN, ALPHA))).sum(axis=0) / many)
        found.append(decided.sum(axis=0))
    decided = float(np.mean(np.concatenate(found)))
    for what, shares in (("wrong among the decided", wrong), ("missed by intervals of the decided", missed)):
        share = np.concatenate(shares)
        rate, bar = float(share.mean()), ALPHA + 3 * float(share.std()) / math.sqrt(count)
        yield Finding(
            "families",
            f"{what}, {setting}",
            ALPHA,
            rate,
            rate <= bar,
            count,
            "component-wise t, bh",
            {"bar": bar, "decided cells": decided},
        )
