"""Items that change sides. By chance alone some always do: their share is told beside that between two runs
of the baseline."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evaluated import NotSelectable
from transferscope.comparison.evidence.predictions import PredictionReader, Predictions, right
from transferscope.errors import RequestError
from transferscope.statistics import effect, verdict
from transferscope.statistics.flips import Excess, lost
from transferscope.store import record


@dataclass(frozen=True)
class Item:
    """One item that differs beyond chance between the arms: how many of the seeds' runs are right, its p
    (Benjamini-Hochberg over the test items), and the class the losing arm's runs name most often."""

    id: str
    label: str
    answer: str
    strategy_right: int
    baseline_right: int
    p_adjusted: float


@dataclass(frozen=True)
class Flips:
    """lost: the baseline is right and the strategy wrong; won: the reverse. hidden: share of items that most
    baseline runs get right and most strategy runs wrong (ties count half), those of chance among them. twin:
    what the baseline's A/A twin loses, where it was run: the same labels, another initialisation. items_lost,
    items_won: each told from chance by its own p."""

    lost: Excess
    won: Excess
    hidden: float
    twin: float | None
    items_lost: list[Item]
    items_won: list[Item]


def count_flips(cell: Cell, alpha: float, reader: PredictionReader) -> Flips | None:
    """None with a single seed, against a baseline without runs, and where no answer is right or wrong."""
    seen = cell.evidence
    if len(seen.seeds) < 2 or not seen.baseline_runs or not seen.has_classes:
        return None
    strategy, baseline = reader.arm(cell, seen.strategy_runs), reader.arm(cell, seen.baseline_runs)
    s, b = right(strategy), right(baseline)  # [K, n]
    won = _items(cell, b, s, baseline, alpha)
    return Flips(
        lost(s, b, seen.groups, alpha),
        lost(1 - s, 1 - b, seen.groups, alpha),
        _share(hidden(s, b), seen.groups),
        _twin(cell, b, reader),
        _items(cell, s, b, strategy, alpha),
        [
            replace(item, strategy_right=item.baseline_right, baseline_right=item.strategy_right)
            for item in won
        ],
    )


def majority(runs: np.ndarray) -> np.ndarray:
    """[K, n], 1 where right -> [n]: 1 where most are right, 0 where most are wrong, a half where as many
    are."""
    most: np.ndarray = (np.sign(runs.mean(0) - 0.5) + 1) / 2
    return most


def hidden(s: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[K, n], [K, n] -> [n]: hidden negative transfer of each item."""
    found: np.ndarray = majority(b) * (1 - majority(s))
    return found


def fisher(fewer: np.ndarray, more: np.ndarray, runs: int) -> np.ndarray:
    """Counts [n] of right runs out of `runs` in either arm -> one-sided p [n] of "the first arm is right less
    often" (Fisher's exact test).

    Runs of a seed share their labelled subset: that makes the two counts more alike than independent ones,
    and the test conservative."""
    table = np.ones((runs + 1, runs + 1))
    for a in range(runs + 1):
        for c in range(runs + 1):
            ways = [
                math.comb(runs, j) * math.comb(runs, a + c - j) for j in range(max(0, a + c - runs), a + 1)
            ]
            table[a, c] = sum(ways) / math.comb(2 * runs, a + c)
    p: np.ndarray = table[fewer.astype(int), more.astype(int)]
    return p


def _share(items: np.ndarray, groups: np.ndarray | None) -> float:
    return float(effect.group_means(np.atleast_2d(items), groups).mean())


def _twin(cell: Cell, b: np.ndarray, reader: PredictionReader) -> float | None:
    """Share of the items that the baseline [K, n] gets right and its twin of the same seed wrong; a run that
    cannot be read is no twin."""
    twins = {}
    for row in cell.evidence.rows(cell.evidence.twin_runs):
        with suppress(RequestError, NotSelectable):
            twins[record.read_record(row[0])["seed"]] = reader.read(cell, row).right
    both = [b[k] * (1 - twins[seed]) for k, seed in enumerate(cell.evidence.seeds) if seed in twins]
    return _share(np.mean(both, axis=0), cell.evidence.groups) if both else None


def _items(
    cell: Cell, fewer: np.ndarray, more: np.ndarray, runs: list[Predictions], alpha: float
) -> list[Item]:
    """Items that the arm `fewer` [K, n] gets wrong more often than the arm `more`, beyond chance; `runs` are
    of `fewer`."""
    seen = cell.evidence
    if any(len(set(folders)) < len(seen.seeds) for folders in (seen.strategy_runs, seen.baseline_runs)):
        return []  # a deterministic arm is one observation, however many seeds it stands for
    a, c = fewer.sum(0).astype(int), more.sum(0).astype(int)
    adjusted = verdict.benjamini_hochberg(fisher(a, c, len(fewer)), len(a))
    found = sorted(np.flatnonzero(adjusted <= alpha).tolist(), key=lambda i: (adjusted[i], str(seen.ids[i])))
    names = [str(name) for name in seen.classes]
    return [
        Item(
            str(seen.ids[i]),
            names[seen.labels[i]],
            _answer(runs, i, names),
            int(a[i]),
            int(c[i]),
            float(adjusted[i]),
        )
        for i in found
    ]


def _answer(runs: list[Predictions], i: int, names: list[str]) -> str:
    """What the runs that get item i wrong name most often."""
    wrong = [run.predicted[i] for run in runs if not run.right[i] and run.predicted[i] >= 0]
    return names[np.bincount(wrong).argmax()] if wrong else "–"
