"""What a strategy that starts from the source model loses on the source: accuracy on held-out source items
before and after."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evaluated import NotSelectable, Run
from transferscope.statistics import effect
from transferscope.store.evaluations import NAME, Evaluations


@dataclass(frozen=True)
class Forgetting:
    """Accuracy on one source's validation items: before the first step on the target, and after the last.
    change = after − before; its interval is over seeds and items, None with a single seed."""

    source: str
    before: float
    after: float
    change: float
    ci: tuple[float, float] | None
    items: int


def measure(cell: Cell, alpha: float) -> list[Forgetting]:
    """One a source domain; empty where the strategy does not start from the source model or the classes are
    not shared."""
    if cell.initialisation != "source" or not cell.source:
        return []
    return [found for name in cell.source.split("+") if (found := _of_source(cell, name, alpha))]


def _of_source(cell: Cell, source: str, alpha: float) -> Forgetting | None:
    runs = cell.evidence.strategy_runs
    read = [found for folder in runs if (found := _read(folder, source)) is not None]
    if len(read) < len(runs) or any(
        not np.array_equal(run[0], read[0][0]) for run in read
    ):  # other items each seed: nothing to pair
        return None
    folds = cell.evidence.folds  # of a seed: one score
    before, after = (
        np.stack(arrays).reshape(-1, folds, len(read[0][0])).mean(axis=1)
        for arrays in ([before for *_, before, _ in read], [after for *_, after in read])
    )  # [K, n]
    before, after = (effect.group_means(x, read[0][1]) for x in (before, after))  # or groups
    d = after - before
    ci = effect.interval(d, alpha) if len(d) > 1 else None
    return Forgetting(source, float(before.mean()), float(after.mean()), float(d.mean()), ci, d.shape[1])


def _read(folder: Path, source: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray] | None:
    """(ids, groups or None, right before, right after) of the source's validation items."""
    prefix = f"{source}/val"
    with Evaluations(folder / NAME) as members:
        run, steps = Run(folder, members), members.steps(prefix)
        if len(steps) < 2 or steps[0] != 0:
            return None
        try:
            first, last = (run.right(prefix, step) for step in (steps[0], steps[-1]))
        except NotSelectable:  # dropped, without a score
            return None
        return members[f"{prefix}/ids"], run.part(f"{prefix}/groups"), first, last
