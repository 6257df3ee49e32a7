"""What a run answered on its test items at the evaluation its selection takes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transferscope import record
from transferscope.comparison import scores
from transferscope.comparison.cells import Cell

ITEM_METRICS = ("accuracy", "nll", "brier")  # those that are means of item scores


@dataclass(frozen=True, eq=False)
class Predictions:
    """One run, items in the order of the cell's ids. predicted [n]: class index, −1 where no evaluation is finite. right [n] (bool).
    nll [n] in nats."""

    predicted: np.ndarray
    right: np.ndarray
    nll: np.ndarray


@dataclass
class Reader:
    """Reads each run once: baselines are shared by many cells."""

    cache: dict[tuple, Predictions] = field(default_factory=dict)

    def arm(self, cell: Cell, folders: list[Path]) -> list[Predictions]:
        return [self.read(cell, folder) for folder in folders]

    def read(self, cell: Cell, folder: Path) -> Predictions:
        ids = cell.evidence.ids
        key = (folder, cell.metric, cell.selection, ids[0], len(ids))
        if key not in self.cache:
            run = cell.evidence.records.get(folder) or record.read_record(folder)
            step = scores.read_scores(folder, run, cell.metric, cell.selection).step
            self.cache[key] = _read(folder, cell, step)
        return self.cache[key]


def item_differences(cell: Cell, reader: Reader) -> tuple[np.ndarray, str]:
    """(d [K, n], its metric): of the cell's metric where that is a mean of item scores, else of accuracy."""
    seen = cell.evidence
    if cell.metric in ITEM_METRICS:
        return seen.strategy_scores - seen.baseline_scores, cell.metric
    strategy, baseline = right(reader.arm(cell, seen.strategy_runs)), right(reader.arm(cell, seen.baseline_runs))
    return strategy - baseline, "accuracy"


def right(runs: list[Predictions]) -> np.ndarray:
    """[K, n], 1.0 where a run answers an item rightly."""
    return np.stack([run.right for run in runs]).astype(float)


def order(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions in `ids` of the `wanted` ones."""
    sorter = np.argsort(ids)
    return sorter[np.searchsorted(ids, wanted, sorter=sorter)]


def _read(folder: Path, cell: Cell, step: int | None) -> Predictions:
    prefix = f"{cell.target}/test"
    with np.load(folder / "evaluations.npz", allow_pickle=False) as members:
        place = order(members[f"{prefix}/ids"], cell.evidence.ids)
        labels = members[f"{prefix}/labels"][place]
        classes = len(members[f"{prefix}/classes"])
        if step is None:
            n = len(labels)
            return Predictions(np.full(n, -1), np.zeros(n, bool), np.full(n, np.log(classes)))
        p = members[f"{prefix}/probabilities/{step:06d}"][place].astype(float)
    predicted = p.argmax(1)
    return Predictions(predicted, predicted == labels, -scores.item_scores(p, labels, "nll"))
