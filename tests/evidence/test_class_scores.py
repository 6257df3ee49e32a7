"""Precision, recall and F1 of each class, of both arms."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from store_fixture import write_run
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence.class_scores import MEAN, class_scores
from transferscope.comparison.evidence.predictions import PredictionReader


def test_they_are_scikit_learns_as_means_over_the_seeds(tmp_path):
    for seed in range(3):
        for strategy, skill in (("scratch", 0.4), ("fine_tuning", 0.9)):
            write_run(tmp_path, strategy, seed, skill)
    [cell] = compare(tmp_path)
    rows = class_scores(cell, PredictionReader())
    expected = []
    for runs in (cell.evidence.strategy_runs, cell.evidence.baseline_runs):
        of_seeds = []
        for folder in runs:
            with np.load(folder / "evaluations.npz") as members:
                steps = sorted(key for key in members if key.startswith("handwritten/test/probabilities/"))
                labels, predicted = members["handwritten/test/labels"], members[steps[-1]].argmax(1)
            scored = precision_recall_fscore_support(labels, predicted, labels=range(10), zero_division=0)
            of_seeds.append(scored[:3])
        expected.append(np.mean(of_seeds, axis=0))
    assert [row.name for row in rows] == [*map(str, cell.evidence.classes), MEAN]
    for k, name in enumerate(("precision", "recall", "f1")):
        for arm in (0, 1):
            found = [getattr(row, name)[arm] for row in rows]
            assert found == pytest.approx([*expected[arm][k], expected[arm][k].mean()])
    assert [row.support for row in rows] == [*scored_support(cell), len(cell.evidence.labels)]


def scored_support(cell):
    return np.bincount(cell.evidence.labels).tolist()
