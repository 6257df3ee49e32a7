"""By how much predicted numbers miss the true ones, along the true ones: shown, not judged."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferscope.comparison import scores
from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.predictions import order
from transferscope.store.evaluations import NAME, Evaluations


@dataclass(frozen=True, eq=False)
class Residuals:
    """Of the first quantity: truth [n], and of either arm predicted − true [n], the mean over seeds; None of
    a baseline without runs."""

    quantity: str
    truth: np.ndarray
    strategy: np.ndarray
    baseline: np.ndarray | None


def residuals(cell: Cell) -> Residuals | None:
    """None where classes are predicted, or a run has dropped its outputs or has none that is finite."""
    seen = cell.evidence
    if seen.errors is None:
        return None
    truth = seen.labels[:, 0].astype(float)
    arms = [_mean(cell, runs) for runs in (seen.strategy_runs, seen.baseline_runs)]
    if arms[0] is None or (arms[1] is None and seen.baseline_runs):
        return None
    strategy, baseline = (None if predicted is None else predicted - truth for predicted in arms)
    assert strategy is not None
    return Residuals(seen.errors.quantities[0], truth, strategy, baseline)


def _mean(cell: Cell, runs: list[Path]) -> np.ndarray | None:
    """What the runs of an arm predict [n], the mean over seeds."""
    rows = []
    for row in cell.evidence.rows(runs):
        parts = [_predicted(cell, folder) for folder in row]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        ids, predicted = (np.concatenate(part) for part in zip(*known, strict=True))
        rows.append(predicted[order(ids, cell.evidence.ids)])
    return np.mean(rows, axis=0) if rows else None


def _predicted(cell: Cell, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """(ids, what a run predicts [n]) at the evaluation that its selection takes."""
    seen, items = cell.evidence, f"{cell.tested_on}/test"
    step = scores.read_scores(folder, seen.records[folder], cell.metric, cell.selection, seen.tested_on).step
    with Evaluations(folder / NAME) as evaluations:
        outputs = None if step is None else evaluations.outputs(items, step)
        return None if outputs is None else (evaluations[f"{items}/ids"], outputs[:, 0].astype(float))
