"""What a run answered on its test items at the evaluation its selection takes."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from transferscope.comparison import naive, paired_scores, scores
from transferscope.comparison.cells import Cell
from transferscope.comparison.evaluated import Run
from transferscope.errors import RequestError
from transferscope.store import record
from transferscope.store.evaluations import MEMBER, NAME, Evaluations
from transferscope.store.printable import printable
from transferscope.tasks.metrics import METRICS

UNKNOWN = -2


@dataclass(frozen=True, eq=False)
class Predictions:
    """One run, items in the order of the cell's ids. predicted [n]: class index, −1 where no evaluation is
    finite, or where the class is none of the cell's, `UNKNOWN` where the outputs were dropped. right [n]
    (bool). nll [n] in nats. Of the naive predictor what is expected: right [n] are shares, predicted is
    −1."""

    predicted: np.ndarray
    right: np.ndarray
    nll: np.ndarray

    @property
    def is_known(self) -> bool:
        """Whether the run has kept which class it names."""
        return not np.any(self.predicted == UNKNOWN)


@dataclass
class PredictionReader:
    """Reads each run once: baselines are shared by many cells."""

    cache: dict[tuple[object, ...], Predictions] = field(default_factory=dict)
    items: dict[tuple[str, str], paired_scores.ScoreReader] = field(default_factory=dict)

    def arm(self, cell: Cell, folders: list[Path]) -> list[Predictions]:
        """One a seed."""
        return [self.read(cell, row) for row in cell.evidence.rows(folders)]

    def baseline(self, cell: Cell) -> list[Predictions]:
        """One a seed, also of a baseline without runs."""
        return (
            self.arm(cell, cell.evidence.baseline_runs) if cell.evidence.baseline_runs else self.naive(cell)
        )

    def naive(self, cell: Cell) -> list[Predictions]:
        """The naive predictor with the baseline's labels; those of the strategy where the baseline has no
        runs."""
        seen = cell.evidence
        items = self.scores("accuracy", cell)
        runs = seen.baseline_runs or seen.strategy_runs
        right, log_likelihood = (naive.of_runs(seen, runs, items, metric) for metric in ("accuracy", "nll"))
        return [
            Predictions(np.full(len(seen.ids), -1), *row) for row in zip(right, -log_likelihood, strict=True)
        ]

    def scores(self, metric: str, cell: Cell) -> paired_scores.ScoreReader:
        """What reads the runs of a cell by another metric than its own."""
        given = metric, cell.selection
        return self.items.setdefault(given, paired_scores.ScoreReader(*given, cell.evidence.tested_on))

    def read(self, cell: Cell, row: list[Path]) -> Predictions:
        """row: the run of a seed, or all its folds."""
        ids = cell.evidence.ids
        key = (*row, cell.metric, cell.selection, ids[0], len(ids))
        if key not in self.cache:
            self.cache[key] = _together([self._read(cell, folder) for folder in row], ids)
        return self.cache[key]

    def _read(self, cell: Cell, folder: Path) -> tuple[np.ndarray, Predictions]:
        """(ids, predictions) in the run's own order."""
        run = cell.evidence.records.get(folder) or record.read_record(folder)
        return _read(folder, cell, scores.read_scores(folder, run, cell.metric, cell.selection).step)


def accuracy_differences(cell: Cell, reader: PredictionReader) -> np.ndarray:
    """d [K, n] in accuracy, whatever the cell is judged by, to what the cell is held against."""
    seen = cell.evidence
    stands_in = seen.held_against is not seen.baseline_scores
    baseline = reader.naive(cell) if stands_in else reader.baseline(cell)
    d: np.ndarray = right(reader.arm(cell, seen.strategy_runs)) - right(baseline)
    return d


def error_differences(cell: Cell, reader: PredictionReader) -> np.ndarray:
    """d [K, n] in absolute errors, whatever the cell is judged by, to what the cell is held against: above 0
    where the strategy's are smaller."""
    seen = cell.evidence
    if cell.metric == "mae":
        own: np.ndarray = seen.strategy_scores - seen.held_against
        return own
    of_errors = reader.scores("mae", cell)

    def arm(runs: list[Path]) -> np.ndarray:
        rows = [[(folder, seen.records[folder]) for folder in row] for row in seen.rows(runs)]
        read = [of_errors.readable_row(row) for row in rows]
        return np.stack([one.scores[order(one.ids, seen.ids)] for one in read])

    if seen.held_against is seen.baseline_scores and seen.baseline_runs:
        held_against = arm(seen.baseline_runs)
    else:
        held_against = naive.of_runs(seen, seen.baseline_runs or seen.strategy_runs, of_errors, "mae")
    d: np.ndarray = arm(seen.strategy_runs) - held_against
    return d


def right(runs: list[Predictions]) -> np.ndarray:
    """[K, n], 1.0 where a run answers an item rightly."""
    return np.stack([run.right for run in runs]).astype(float)


def order(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions in `ids` of the `wanted` ones."""
    sorter = np.argsort(ids)
    return sorter[np.searchsorted(ids, wanted, sorter=sorter)]


def _together(parts: list[tuple[np.ndarray, Predictions]], wanted: np.ndarray) -> Predictions:
    place = order(np.concatenate([ids for ids, _ in parts]), wanted)
    return Predictions(
        *(np.concatenate([getattr(part, f.name) for _, part in parts])[place] for f in fields(Predictions))
    )


def check(folder: Path) -> None:
    """Raises RequestError unless all members of a run's evaluations are what the evidence takes them for."""
    path = folder / NAME
    try:
        with Evaluations(path) as members:
            for name in members:
                _check_member(members, name)
    except Exception as error:  # a damaged archive fails in many ways
        raise RequestError(
            f"{path}: not a file of evaluations: {printable(str(error))[:200]}; run it again, or remove the "
            "folder"
        ) from error


def _check_member(members: Evaluations, name: str) -> None:
    """Raises ValueError, KeyError or what a damaged archive does."""
    found, array = MEMBER.fullmatch(name), members[name]
    if found is None:
        raise ValueError(f"{name} is no member of evaluations")
    items, part = found.groups()
    if part.startswith(("errors/", "range/")):
        return
    n, kind = len(members[f"{items}/ids"]), part.partition("/")[0]
    has_classes = f"{items}/classes" in members
    width = members[f"{items}/classes"].shape if has_classes else array.shape[1:]
    shape, kinds = {
        "outputs": ((n, *width), "f"),
        "scores": ((n,), "f"),
        "fewest_named": ((), "iu"),
        "classes": (width, "U"),
        "ids": ((n,), "U"),
        "targets": ((n,), "iu") if has_classes else ((n, *width), "biuf"),
    }.get(kind, ((n,), "biufU"))
    if (
        array.shape != shape
        or array.dtype.kind not in kinds
        or (kind == "targets" and has_classes and not np.isin(array, np.arange(width[0])).all())
    ):
        raise ValueError(f"{name} of shape {array.shape} and type {array.dtype}")


def _read(folder: Path, cell: Cell, step: int | None) -> tuple[np.ndarray, Predictions]:
    items = f"{cell.tested_on}/test"
    with Evaluations(folder / NAME) as members:
        run, ids, labels = Run(folder, members), members[f"{items}/ids"], members[f"{items}/targets"]
        n = len(labels)
        if step is None:
            chance = -METRICS["nll"].chance(labels, len(members[f"{items}/classes"]))
            return ids, Predictions(np.full(n, -1), np.zeros(n, bool), np.full(n, chance))
        taken = run.evaluation(items, step, "nll")
        assert taken is not None  # one that is not finite is not selected
        right, classes = run.right(items, step) == 1, members[f"{items}/classes"]
    predicted = np.full(n, UNKNOWN) if taken.outputs is None else taken.outputs.argmax(1)
    if taken.outputs is not None and not np.array_equal(classes, cell.evidence.classes):
        known = {name: at for at, name in enumerate(cell.evidence.classes.tolist())}
        predicted = np.array([known.get(name, -1) for name in classes.tolist()])[predicted]
    return ids, Predictions(predicted, right, -taken.scores)
