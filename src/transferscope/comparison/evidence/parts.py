"""Δ of parts of the test items: classes, or where numbers are predicted quarters of their range, and
subgroups by each metadata column; or of the labels of which an item may have several. All parts of all cells
of a page are one family.

Always in accuracy, of a label over all items, or in absolute errors: log-likelihoods and Brier scores of a
part's few items have no interval that holds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.label_parts import label_differences
from transferscope.comparison.evidence.predictions import (
    PredictionReader,
    accuracy_differences,
    error_differences,
    order,
)
from transferscope.statistics import effect, verdict
from transferscope.statistics.effect import Effect
from transferscope.statistics.shrinkage import shrink
from transferscope.store.evaluations import NAME, Evaluations

MOST = 40  # values of a column beyond which it names items rather than subgroups


@dataclass(frozen=True)
class Part:
    """One part: n items (or groups). p_adjusted: Holm over all parts of the family; is_claimed: whether it is
    at most alpha. ci: at alpha divided by their number, so that all hold at once; cut at zero where a later
    step of Holm's procedure tells what it would not. family: that number. shrunken: Δ drawn towards the mean
    of the parts of its table, for a sentence that names the most extreme one."""

    name: str
    n: int
    delta: float
    ci: tuple[float, float]
    p_adjusted: float
    is_claimed: bool
    shrunken: float
    family: int


@dataclass(frozen=True)
class Parts:
    """Of one cell. Empty with a single seed; classes: or quarters of the range, or labels, which have no
    subgroups; subgroups: by column, those of 2 to 40 values."""

    classes: list[Part]
    subgroups: dict[str, list[Part]]


def judge_parts(cells: Sequence[Cell], alpha: float, reader: PredictionReader) -> list[Parts]:
    """In the order of the cells, which are one family."""
    found = [_effects(cell, reader) for cell in cells]
    tables = iter(
        judged([table for classes, columns in found for table in (classes, *columns.values())], alpha)
    )
    return [Parts(next(tables), {column: next(tables) for column in columns}) for _, columns in found]


def judged(tables: Sequence[Mapping[str, Effect]], alpha: float) -> list[list[Part]]:
    """Tables of parts by name -> the same with what may be told of each."""
    effects = [one for table in tables for one in table.values()]
    adjusted = iter(verdict.holm([one.p_value() for one in effects], len(effects)))
    found = []
    for table in tables:
        drawn = shrink(
            [one.delta for one in table.values()],
            [one.seed_variance + one.item_variance for one in table.values()],
        )
        rows = zip(table.items(), drawn, strict=True)
        found.append(
            [
                _part(name, one, float(next(adjusted)), alpha, float(shrunken), len(effects))
                for (name, one), shrunken in rows
            ]
        )
    return found


def _part(name: str, one: Effect, p: float, alpha: float, shrunken: float, family: int) -> Part:
    (low, high), is_claimed = one.interval(alpha / family), p <= alpha
    ci = (
        (max(low, 0.0), high)
        if is_claimed and one.delta > 0
        else (low, min(high, 0.0))
        if is_claimed
        else (low, high)
    )
    return Part(name, one.items, one.delta, ci, p, is_claimed, shrunken, family)


def effects(
    d: np.ndarray,
    part: np.ndarray,
    names: Sequence[str] | np.ndarray,
    groups: np.ndarray | None,
    unit: float = 1.0,
) -> dict[str, Effect]:
    """d [K, n] of accuracy, or of errors of this unit (`effect.estimate`), K >= 2, part [n] (index into
    names), groups [n] or None -> Δ of the parts that have test items, in the order of names."""
    present = [k for k in range(len(names)) if np.any(part == k)]
    units = [
        effect.group_means(d[:, part == k], None if groups is None else groups[part == k]) for k in present
    ]  # each [K, items]
    return {str(names[k]): effect.estimate(items, unit) for k, items in zip(present, units, strict=True)}


def quarters(truth: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Numbers [n] -> (which quarter of the items each is of [n], `5 to 6` of each); equal numbers are of one,
    so that there may be fewer than four."""
    cuts = np.unique(np.quantile(truth, [0.25, 0.5, 0.75]))
    _, part = np.unique(np.searchsorted(cuts, truth, "left"), return_inverse=True)
    bounds = [(truth[part == k].min(), truth[part == k].max()) for k in range(part.max() + 1)]
    return part, [f"{low:.4g} to {high:.4g}" if low < high else f"{low:.4g}" for low, high in bounds]


def worst(parts: Sequence[Part]) -> Part | None:
    """The part that loses most, only where that is told: by chance alone the worst of ten classes loses
    points."""
    return min(
        (part for part in parts if part.is_claimed and part.delta < 0),
        key=lambda part: part.delta,
        default=None,
    )


def _effects(cell: Cell, reader: PredictionReader) -> tuple[dict[str, Effect], dict[str, dict[str, Effect]]]:
    """(by class, by column and its value)"""
    seen = cell.evidence
    if len(seen.seeds) < 2:
        return {}, {}
    if seen.tags:
        of_labels = label_differences(cell).items()
        return {name: effect.estimate(effect.group_means(d, seen.groups)) for name, d in of_labels}, {}
    unit, part, names = 1.0, seen.labels, list(map(str, seen.classes))
    if seen.has_classes:
        d = accuracy_differences(cell, reader)
    elif seen.errors is not None:
        d, unit = error_differences(cell, reader), seen.metric("mae").unit
        part, names = quarters(seen.labels[:, 0])
    else:
        d, unit, names = seen.strategy_scores - seen.held_against, seen.metric(cell.metric).unit, []
    columns = {column: np.unique(values, return_inverse=True) for column, values in _columns(cell).items()}
    subgroups = {
        column: effects(d, of, values, seen.groups, unit)
        for column, (values, of) in columns.items()
        if 2 <= len(values) <= MOST
    }
    return effects(d, part, names, seen.groups, unit), subgroups


def _columns(cell: Cell) -> dict[str, np.ndarray]:
    """Metadata of the test items, in the order of the cell's ids."""
    prefix = f"{cell.tested_on}/test"
    start = f"{prefix}/metadata/"
    ids, columns = [], defaultdict(list)
    for folder in cell.evidence.rows(cell.evidence.strategy_runs)[0]:
        with Evaluations(folder / NAME) as members:
            ids.append(members[f"{prefix}/ids"])
            for name in members:
                if name.startswith(start):
                    columns[name[len(start) :]].append(members[name])
    place = order(np.concatenate(ids), cell.evidence.ids)
    return {column: np.concatenate(parts)[place] for column, parts in columns.items()}
