"""How often two arms are right about each label, where an item may have several: shown per label as accuracy
is per class."""

from pathlib import Path

import numpy as np

from transferscope.comparison import naive, scores
from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.predictions import order
from transferscope.store.evaluations import NAME, Evaluations
from transferscope.tasks.metrics import has_labels


def label_differences(cell: Cell) -> dict[str, np.ndarray]:
    """By label d [K, n], 1 where the strategy is right about it and what it is held against is not, −1 where
    it is the other way round. {} where a run has dropped its outputs or has none that is finite."""
    seen = cell.evidence
    strategy = _right(cell, seen.strategy_runs)
    if seen.held_against is seen.baseline_scores and seen.baseline_runs:
        held_against = _right(cell, seen.baseline_runs)
    else:
        held_against = _naive(cell)
    if strategy is None or held_against is None:
        return {}
    return dict(zip(seen.tags, np.moveaxis(strategy - held_against, 2, 0), strict=True))


def _right(cell: Cell, runs: list[Path]) -> np.ndarray | None:
    """[K, n, L], 1.0 where a run is right about a label."""
    seen, found = cell.evidence, []
    for row in seen.rows(runs):
        parts = [part for folder in row if (part := _predicted(cell, folder)) is not None]
        if len(parts) < len(row):
            return None
        ids, predicted = (np.concatenate(part) for part in zip(*parts, strict=True))
        found.append(has_labels(predicted[order(ids, seen.ids)]) == (seen.labels == 1))
    return np.stack(found).astype(float)


def _predicted(cell: Cell, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """(ids, probabilities [n, L]) at the evaluation that its selection takes."""
    seen, items = cell.evidence, f"{cell.tested_on}/test"
    step = scores.read_scores(folder, seen.records[folder], cell.metric, cell.selection, seen.tested_on).step
    with Evaluations(folder / NAME) as evaluations:
        outputs = None if step is None else evaluations.outputs(items, step)
        return None if outputs is None else (evaluations[f"{items}/ids"], outputs)


def _naive(cell: Cell) -> np.ndarray | None:
    """Of the naive predictor; None over folds, each of which answers otherwise."""
    seen, truth = cell.evidence, cell.evidence.labels == 1
    if seen.folds > 1:
        return None
    answers = [
        naive.answer(seen.records[run], "item_f1", truth.shape[1])
        for run in seen.baseline_runs or seen.strategy_runs
    ]
    return np.stack([has_labels(answer)[None] == truth for answer in answers]).astype(float)
