"""The items of one target: every run has each once, and all runs say the same of them."""

from dataclasses import dataclass

import numpy as np

from transferscope.errors import RequestError
from transferscope.external.rows import Rows, Texts
from transferscope.store.printable import printable

NAMED = 3  # items named where runs differ in them


@dataclass(frozen=True)
class TargetRuns:
    """runs: rows [n] each, in one order of the items. left_out: items that only some runs have."""

    runs: list[np.ndarray]
    left_out: int


def aligned(rows: Rows, runs: list[np.ndarray], target: str, common_items: bool) -> TargetRuns:
    """Raises RequestError for a doubled item, for runs of other items, and where two rows say another label,
    truth, group or metadata of one item."""
    item = rows.keys["item"]
    for run in runs:
        _refuse_doubled(rows, run)
    codes, left_out = [item.codes[run] for run in runs], 0
    if any(not np.array_equal(codes[0], own) for own in codes[1:]):
        counts = np.bincount(np.concatenate(codes), minlength=len(item.names))
        lacking = np.flatnonzero((counts > 0) & (counts < len(runs)))
        if len(lacking) and not common_items:
            raise RequestError(_other_items(rows, runs, lacking))
        left_out, is_common = len(lacking), counts == len(runs)
        if not is_common.any():
            raise RequestError(f"--common-items: no item of {printable(target)} is in all of its runs")
        runs = [run[is_common[own]] for run, own in zip(runs, codes, strict=True)]
        place = np.zeros(len(item.names), np.int64)
        place[item.codes[runs[0]]] = np.arange(len(runs[0]))
        runs = [run[np.argsort(place[item.codes[run]])] for run in runs]
    for run in runs[1:]:
        _refuse_contradiction(rows, runs[0], run)
    return TargetRuns(runs, left_out)


def _refuse_doubled(rows: Rows, run: np.ndarray) -> None:
    codes = rows.keys["item"].codes[run]
    order = np.argsort(codes, kind="stable")
    again = np.flatnonzero(np.diff(codes[order]) == 0)
    if len(again):
        one, other = int(run[order[again[0]]]), int(run[order[again[0] + 1]])
        raise RequestError(
            f"{rows.place(other)}: item '{rows.keys['item'][one]}' is in {_named(rows, run)} twice, in "
            f"{_also(rows, one, other)} too; if a column tells these apart, say which with --map "
            "(seed, label_budget, source, target, backbone or variant)"
        )


def _other_items(rows: Rows, runs: list[np.ndarray], lacking: np.ndarray) -> str:
    item = rows.keys["item"]
    holds = [bool(np.isin(lacking[0], item.codes[run])) for run in runs]
    has, lacks = runs[holds.index(True)], runs[holds.index(False)]
    names = ", ".join(f"'{printable(str(item.names[code]))}'" for code in lacking[:NAMED])
    counted = f"item {names} is" if len(lacking) == 1 else f"{len(lacking)} items are"
    named = "" if len(lacking) == 1 else f" ({names}{', …' if len(lacking) > NAMED else ''})"
    return (
        f"{rows.tables[rows.file[has[0]]].name}: {counted} not in all runs{named}: in {_named(rows, has)}, "
        f"not in {_named(rows, lacks)}; --common-items judges the items that all runs have"
    )


def _refuse_contradiction(rows: Rows, first: np.ndarray, run: np.ndarray) -> None:
    said = {"group": rows.keys.get("group"), "label": rows.labels, **rows.metadata}
    for what, column in said.items():
        if column is None:
            continue
        differs = column.codes[run] != column.codes[first]
        if differs.any():
            _refuse(rows, what, int(first[differs.argmax()]), int(run[differs.argmax()]), column)
    if rows.truths is not None and (differs := rows.truths[run] != rows.truths[first]).any():
        _refuse(rows, "truth", int(first[differs.argmax()]), int(run[differs.argmax()]), rows.truths)


def _refuse(rows: Rows, what: str, one: int, other: int, column: np.ndarray | Texts) -> None:
    raise RequestError(
        f"{rows.place(other)}: item '{rows.keys['item'][other]}' has {what} '{column[other]}', and "
        f"'{column[one]}' in {_also(rows, one, other)}"
    )


def _also(rows: Rows, one: int, other: int) -> str:
    return f"row {rows.number[one]}" if rows.file[one] == rows.file[other] else rows.place(one)


def _named(rows: Rows, run: np.ndarray) -> str:
    row = int(run[0])
    parts = [rows.text("strategy", row), f"seed {rows.text('seed', row) or 0}"]
    keys = ("source", "target", "label_budget", "backbone", "variant")
    return ", ".join(parts + [f"{key} {value}" for key in keys if (value := rows.text(key, row))])
