"""Precision, recall and F1 of each class, of both arms: shown, not judged."""

from dataclasses import dataclass

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.predictions import PredictionReader

MEAN = "mean of the classes"
Pair = tuple[float, float | None]  # strategy, baseline; None of one that answers without a run


@dataclass(frozen=True)
class ClassScores:
    """Of one class that has test items, means over the seeds, as scikit-learn's
    precision_recall_fscore_support: a class that is never predicted has a precision of 0. support: its test
    items."""

    name: str
    support: int
    precision: Pair
    recall: Pair
    f1: Pair


def class_scores(cell: Cell, reader: PredictionReader) -> list[ClassScores]:
    """In the order of the classes, then their mean."""
    seen = cell.evidence
    arms = [
        _of_arm([run.predicted for run in reader.arm(cell, runs)], seen.labels, seen.classes)
        for runs in (seen.strategy_runs, seen.baseline_runs)
        if runs
    ]
    support = np.bincount(seen.labels, minlength=len(seen.classes))
    rows = [
        ClassScores(str(name), int(items), *(_pair([arm[k, c] for arm in arms]) for k in range(3)))
        for c, (name, items) in enumerate(zip(seen.classes, support, strict=True))
        if items
    ]
    means = (_pair([arm[k, support > 0].mean() for arm in arms]) for k in range(3))
    return [*rows, ClassScores(MEAN, int(support.sum()), *means)]


def _pair(values: list[float]) -> Pair:
    return float(values[0]), float(values[1]) if len(values) > 1 else None


def _of_arm(predicted: list[np.ndarray], labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """[3, C]: precision, recall and F1, means over the seeds."""
    true = labels == np.arange(len(classes))[:, None]  # [C, n]
    found = []
    for of_seed in predicted:
        said = of_seed == np.arange(len(classes))[:, None]
        right, support, count = (true & said).sum(1), true.sum(1), said.sum(1)
        shares = (right, count), (right, support), (2 * right, support + count)
        found.append([part / np.maximum(whole, 1) for part, whole in shares])
    means: np.ndarray = np.mean(found, axis=0)
    return means
