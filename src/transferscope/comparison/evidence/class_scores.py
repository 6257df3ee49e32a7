"""Precision, recall and F1 of each class, of both arms: shown, not judged."""

from dataclasses import dataclass

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.tasks.metrics import by_class

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
    """In the order of the classes, then their mean; nothing where a run has dropped the outputs that say
    which class it names."""
    seen = cell.evidence
    read = [reader.arm(cell, runs) for runs in (seen.strategy_runs, seen.baseline_runs) if runs]
    if not all(run.is_known for arm in read for run in arm):
        return []
    arms = [_of_arm([run.predicted for run in arm], seen.labels, seen.classes) for arm in read]
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
    found = [by_class(of_seed, labels, len(classes)) for of_seed in predicted]
    means: np.ndarray = np.mean(
        [[one[name] for name in ("precision", "recall", "f1")] for one in found], axis=0
    )
    return means
