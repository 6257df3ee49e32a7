"""Baselines of which each run learns or stays at chance: how often a gain is told that is none, where all
their runs were at chance."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from transferscope.calibration.findings import ALPHA, Finding, Size, most_errors, watched
from transferscope.comparison.naive import LEAST_RUNS
from transferscope.data.splits import generator
from transferscope.statistics.verdict import Pair, clopper_pearson

SEEDS = (3, 5, 10)
FAILS = (0.3, 0.45, 0.7, 0.9)  # share of the runs
ITEMS, CLASSES = 300, 10
LEARNT, SEED_SD = 0.7, 0.02  # accuracy of a run that learns, and its spread
CHANCE = 1 / CLASSES
ALIKE, STEADY = "both arms fail alike", "a strategy of the same mean that never fails"


def study(size: Size) -> Iterator[Finding]:
    """Δ is 0 in both kinds of null."""
    for kind, fails, seeds in watched(list(product((ALIKE, STEADY), FAILS, SEEDS)), "bimodal baselines"):
        yield false_gains(kind, fails, seeds, size.draws)


def false_gains(kind: str, fails: float, seeds: int, draws: int) -> Finding:
    """measured: share of all experiments in which `positive` is told. all at chance: of them, those whose
    baseline learnt in no run and whose strategy in all; told of these: also with fewer runs than the rule
    asks for.

    Held to the bar where a baseline fails no oftener than the rate that the verdict's flag names: of one that
    learns in a run of ten, K runs at chance are what one sees, and no rule sees more."""
    rng = generator("calibration", "bimodal", kind, fails, seeds)
    is_alike = kind == ALIKE
    strategy, baseline = (rng.random((draws, seeds)) < share for share in (fails if is_alike else 0.0, fails))
    candidates = ~strategy.any(1) & (baseline.all(1) | ~baseline.any(1))  # any other collapse bars a gain
    level = LEARNT if is_alike else fails * CHANCE + (1 - fails) * LEARNT
    claimed = np.array([is_told(level, failed, rng) for failed in baseline[candidates]], bool)
    flagged = baseline[candidates].all(1)
    false = claimed & (~flagged | (seeds >= LEAST_RUNS))
    rate, bar = float(false.sum()) / draws, most_errors(ALPHA / 2, draws)
    promised = fails <= clopper_pearson(seeds, seeds, ALPHA)[0]
    given = float(claimed[flagged].mean()) if flagged.any() else 0.0
    detail = {
        "bar": bar,
        "promised": "yes" if promised else "no",
        "all at chance": float(flagged.sum()) / draws,
        "told of these": given,
    }
    ok, setting = rate <= bar or not promised, f"{kind}, {fails:.0%} of runs fail, K={seeds}"
    return Finding("bimodal", setting, ALPHA / 2, rate, ok, draws, "component-wise t", detail)


def is_told(level: float, failed: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether a gain is told over a baseline whose runs are at chance where `failed` [K], all or none; the
    strategy's mean accuracy is `level`."""
    difficulty, seeds = rng.random(ITEMS), len(failed)
    ours, theirs = (right(mean, difficulty, seeds, rng) for mean in (level, LEARNT))
    if failed.all():
        # one class each
        theirs = (np.arange(ITEMS) % CLASSES == rng.integers(CLASSES, size=(seeds, 1))).astype(float)
    against = theirs if theirs.mean() >= CHANCE else np.full_like(theirs, CHANCE)
    pair = Pair(
        ours - against,
        np.zeros(seeds, bool),
        failed,
        ITEMS // CLASSES,
        baseline_learnt_nothing=bool(failed.all()),
    )
    effect = pair.effect()
    return effect.delta > 0 and pair.p_difference(effect) <= ALPHA


def right(level: float, difficulty: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """[K, n]: half of an item's chance of being right is its own, half the run's."""
    of_run = rng.random((seeds, ITEMS)) < level + SEED_SD * rng.standard_normal((seeds, 1))
    return np.where(rng.random((seeds, ITEMS)) < 0.5, difficulty < level, of_run).astype(float)
