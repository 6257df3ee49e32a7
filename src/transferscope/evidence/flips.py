"""Items that change sides. By chance alone some always do, so their share is told as excess over an A/A twin of the baseline:
the same labelled subsets, another initialisation and other batches."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from transferscope import record, verdict
from transferscope.comparison.cells import Cell
from transferscope.errors import Refused
from transferscope.evidence.predictions import Predictions, Reader, right
from transferscope.statistics import effect

TWIN, BOUND = "twin", "bound"


@dataclass(frozen=True)
class Rate:
    """Shares of the test items. reference: what chance alone gives. excess = value − reference; ci: of the excess, none without a twin."""

    value: float
    reference: float
    excess: float
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class Item:
    """One item that differs beyond chance between the arms: how many of the seeds' runs are right, its p (Benjamini-Hochberg over the
    test items), and the class the losing arm's runs name most often."""

    id: str
    label: str
    answer: str
    strategy_right: int
    baseline_right: int
    p_adjusted: float


@dataclass(frozen=True)
class Flips:
    """negative: the baseline is right and the strategy wrong; positive: the reverse. hidden: most baseline runs right and most strategy
    runs wrong (ties count half). reference: `twin`, or `bound` where there is none: the baseline against its own other seeds, which also
    differ in their labelled subsets (and for `hidden` are fewer), so that chance gives at most that."""

    negative: Rate
    positive: Rate
    hidden: Rate
    reference: str
    seeds: int
    lost: list[Item]
    won: list[Item]


def of(cell: Cell, alpha: float, reader: Reader) -> Flips | None:
    """None with a single seed, or against a baseline without runs."""
    seen = cell.evidence
    if len(seen.seeds) < 2 or not seen.baseline_runs:
        return None
    strategy, baseline = reader.arm(cell, seen.strategy_runs), reader.arm(cell, seen.baseline_runs)
    s, b = right(strategy), right(baseline)  # [K, n]
    twins = _twins(cell, reader)
    with_twin = [k for k, seed in enumerate(seen.seeds) if seed in twins]
    if len(with_twin) >= 2:
        t = right([twins[seen.seeds[k]] for k in with_twin])
        arms = s[with_twin], b[with_twin], t, seen.groups, alpha
        rates = _rate(negative, *arms), _rate(positive, *arms), _hidden(*arms)
        reference, seeds = TWIN, len(with_twin)
    else:
        pairs, halves = _by_other_seeds(b)
        bounds = (negative(s, b), pairs), (positive(s, b), pairs), (hidden(s, b)[None], halves)
        rates = [_bounded(value, chance, seen.groups) for value, chance in bounds]
        reference, seeds = BOUND, len(seen.seeds)
    lost, won = _items(cell, s, b, strategy, alpha), _items(cell, b, s, baseline, alpha)
    return Flips(*rates, reference, seeds, lost, [_turned(item) for item in won])


def negative(s: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Runs s, b [..., n], 1 where right -> 1 where an item is lost."""
    return b * (1 - s)


def positive(s: np.ndarray, b: np.ndarray) -> np.ndarray:
    return s * (1 - b)


def majority(runs: np.ndarray) -> np.ndarray:
    """[K, n], 1 where right -> [n]: 1 where most are right, 0 where most are wrong, a half where as many are."""
    return (np.sign(runs.mean(0) - 0.5) + 1) / 2


def hidden(s: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[K, n], [K, n] -> [n]: hidden negative transfer of each item."""
    return majority(b) * (1 - majority(s))


def fisher(fewer: np.ndarray, more: np.ndarray, runs: int) -> np.ndarray:
    """Counts [n] of right runs out of `runs` in either arm -> one-sided p [n] of "the first arm is right less often" (Fisher's exact test).

    Runs of a seed share their labelled subset: that makes the two counts more alike than independent ones, and the test conservative.
    """
    table = np.ones((runs + 1, runs + 1))
    for a in range(runs + 1):
        for c in range(runs + 1):
            ways = [math.comb(runs, j) * math.comb(runs, a + c - j) for j in range(max(0, a + c - runs), a + 1)]
            table[a, c] = sum(ways) / math.comb(2 * runs, a + c)
    return table[fewer.astype(int), more.astype(int)]


def _twins(cell: Cell, reader: Reader) -> dict[int, Predictions]:
    """The baseline's twin by seed; a run that cannot be read is no twin."""
    found = {}
    for row in cell.evidence.rows(cell.evidence.twin_runs):
        with suppress(Refused):
            found[record.read_record(row[0])["seed"]] = reader.read(cell, row)
    return found


def _rate(which: Callable, s: np.ndarray, b: np.ndarray, t: np.ndarray, groups: np.ndarray | None, alpha: float) -> Rate:
    value, reference = (effect.group_means(which(x, b), groups) for x in (s, t))
    return Rate(
        float(value.mean()),
        float(reference.mean()),
        float(value.mean() - reference.mean()),
        effect.interval(value - reference, alpha),
    )


def _bounded(value: np.ndarray, chance: np.ndarray, groups: np.ndarray | None) -> Rate:
    """value [..., n], chance [n]; without a twin there is no interval."""
    found, reference = (float(effect.group_means(np.atleast_2d(x), groups).mean()) for x in (value, chance))
    return Rate(found, reference, found - reference, None)


def _by_other_seeds(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Baseline runs [K, n] -> share of ordered pairs of seeds that flip an item [n]; hidden share between halves of the seeds [n]."""
    seeds = len(b)
    is_right = b.sum(0)
    halves = [np.split(np.roll(b, k, axis=0)[: seeds // 2 * 2], 2) for k in range(seeds)]
    return is_right * (seeds - is_right) / (seeds * (seeds - 1)), np.mean([hidden(*half) for half in halves], axis=0)


def _hidden(s: np.ndarray, b: np.ndarray, t: np.ndarray, groups: np.ndarray | None, alpha: float) -> Rate:
    """The majority is no mean over seeds: their part of the variance is the jackknife's, the items' part that of the items given the seeds,
    with the two pseudo-items of `effect.estimate`."""

    def excess(rows: np.ndarray) -> np.ndarray:
        return effect.group_means((hidden(s[rows], b[rows]) - hidden(t[rows], b[rows]))[None], groups)[0]

    seeds = len(s)
    every = np.arange(seeds)
    items = excess(every)
    without = np.array([excess(np.delete(every, k)).mean() for k in every])
    by_seed = (seeds - 1) / seeds * np.sum((without - without.mean()) ** 2)
    n = len(items) + 2
    by_item = (2 + np.sum((items - items.mean()) ** 2)) / n**2
    half = math.sqrt(stdtrit(seeds - 1, alpha / 2) ** 2 * by_seed + stdtrit(n - 1, alpha / 2) ** 2 * by_item)
    value, reference = (float(effect.group_means(hidden(x, b)[None], groups).mean()) for x in (s, t))
    return Rate(value, reference, value - reference, (value - reference - half, value - reference + half))


def _items(cell: Cell, fewer: np.ndarray, more: np.ndarray, runs: list[Predictions], alpha: float) -> list[Item]:
    """Items that the arm `fewer` [K, n] gets wrong more often than the arm `more`, beyond chance; `runs` are of `fewer`."""
    seen = cell.evidence
    if any(len(set(folders)) < len(seen.seeds) for folders in (seen.strategy_runs, seen.baseline_runs)):
        return []  # a deterministic arm is one observation, however many seeds it stands for
    a, c = fewer.sum(0).astype(int), more.sum(0).astype(int)
    adjusted = verdict.benjamini_hochberg(fisher(a, c, len(fewer)), len(a))
    found = sorted(np.flatnonzero(adjusted <= alpha), key=lambda i: (adjusted[i], str(seen.ids[i])))
    names = [str(name) for name in seen.classes]
    return [Item(str(seen.ids[i]), names[seen.labels[i]], _answer(runs, i, names), int(a[i]), int(c[i]), float(adjusted[i])) for i in found]


def _answer(runs: list[Predictions], i: int, names: list[str]) -> str:
    """What the runs that get item i wrong name most often."""
    wrong = [run.predicted[i] for run in runs if not run.right[i] and run.predicted[i] >= 0]
    return names[np.bincount(wrong).argmax()] if wrong else "–"


def _turned(item: Item) -> Item:
    return replace(item, strategy_right=item.baseline_right, baseline_right=item.strategy_right)
