"""transferscope reproduce: an experiment's runs beside the numbers that were published."""

import csv
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from transferscope.catalog import yamls
from transferscope.cli import run
from transferscope.errors import RequestError, nearest

if TYPE_CHECKING:
    from transferscope.comparison.arms import Arm
    from transferscope.comparison.paired_scores import ScoreReader
    from transferscope.statistics.effect import Effect
    from transferscope.training.request import Request

HELP = """
usage: transferscope reproduce NAME [key=value ...] [--selection RULE] [--format table|json]

Run the experiment NAME (conf/experiment/NAME.yaml) and put what comes out beside
experiments/NAME/published.csv: ours, its 95 % interval, whether it is within the tolerance. Every published
cell is looked up in the grid before anything is trained; runs that are there already are not run again. A
miss is stamped and no failure: exit status 0.

  transferscope reproduce office_caltech_surf data_root=FOLDER
  transferscope reproduce office_caltech_surf data_root=FOLDER store=FOLDER --format json

  --selection RULE  which evaluation of a run counts, as in compare: last | source_val | target_val | oracle |
                    ... (default: last; oracle reads the test labels). An arm that sees nothing to choose by
                    is judged by its last, and its line says so
  --format json     [{"cell", "published", "ours", "ci", "selection", "tolerance", "inside"}],
                    inside: |ours - published| <= tolerance
"""

CELL = ("source", "target", "label_budget", "backbone", "initialisation", "strategy")
# the second `source`: where the value stands
COLUMNS = (*CELL, "value", "unit", "n_test", "seeds", "tolerance", "protocol", "source")
MEAN = "mean"  # in the place of source and target: over all the file's cells of that strategy
ALPHA = 0.05
FORMATS = ("table", "json")


@dataclass(frozen=True)
class Published:
    """One line of published.csv; value and tolerance are fractions."""

    line: int
    cell: dict
    value: float
    tolerance: float
    n_test: int
    protocol: str

    def __str__(self) -> str:
        return (
            f"published.csv, line {self.line}: "
            f"{' '.join(f'{key}={value}' for key, value in self.cell.items())} protocol={self.protocol}"
        )

    def is_of(self, cell: dict) -> bool:
        return {key: cell[key] for key in CELL} == self.cell and cell["protocol"] == self.protocol

    @property
    def is_mean(self) -> bool:
        return self.cell["source"] == MEAN

    def members(self, published: "list[Published]") -> "list[Published]":
        """The lines of single cells that it speaks of: itself, or those that a mean is over."""
        return (
            [row for row in published if not row.is_mean and row.without_task() == self.without_task()]
            if self.is_mean
            else [self]
        )

    def without_task(self) -> tuple:
        return tuple(value for key, value in self.cell.items() if key not in ("source", "target")) + (
            self.protocol,
        )


def main(argv: list[str]) -> int:
    name, overrides, selection, form = parse(argv)
    published = read_published(table_of(name))
    check_cells(
        published,
        [
            (job.request.cell, tested_items(job.request))
            for job in run.planned([f"experiment={name}", *overrides])
        ],
    )
    stdout = sys.stdout
    sys.stdout = sys.stderr  # what the sweep says is no part of the table
    try:
        status = run.main([f"experiment={name}", *overrides])
    finally:
        sys.stdout = stdout
    if status > 1:
        return status
    store = next((word.removeprefix("store=") for word in overrides if word.startswith("store=")), "runs")
    sweep = next((word.removeprefix("sweep=") for word in overrides if word.startswith("sweep=")), name)
    rows = compared_rows(published, Path(store), sweep, selection)
    if form == "json":
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print_table(rows)
    return status


def parse(argv: list[str]) -> tuple[str, list[str], str, str]:
    """(experiment, overrides, selection, format)"""
    from transferscope.comparison.scores import selections

    words = list(argv)
    selection = _option(words, "--selection", selections(), "last")
    form = _option(words, "--format", FORMATS, "table")
    names = [word for word in words if "=" not in word]
    known = reproducible()
    if len(names) != 1:
        raise RequestError(
            f"reproduce: one experiment is needed, of {', '.join(known)}, and then key=value (transferscope "
            "reproduce --help)"
        )
    if names[0] not in known:
        raise RequestError(
            f"reproduce {names[0]}: no experiment with published values{nearest(names[0], known)} "
            f"({', '.join(known)})"
        )
    return names[0], [word for word in words if "=" in word], selection, form


def _option(words: list[str], option: str, allowed: tuple[str, ...], default: str) -> str:
    """Its value, taken out of the words."""
    if option not in words:
        return default
    place = words.index(option)
    value = (words[place + 1 : place + 2] or [""])[0]
    del words[place : place + 2]
    if value not in allowed:
        raise RequestError(f"{option} {value}: not one of {', '.join(allowed)}{nearest(value, allowed)}")
    return value


def table_of(name: str) -> Path:
    return yamls.own_folder().parent / "experiments" / name / "published.csv"


def reproducible() -> list[str]:
    return [name for name in yamls.names("experiment") if table_of(name).is_file()]


# --- the published table


def read_published(path: Path) -> list[Published]:
    """Raises RequestError, with the line, for a missing column, a value that is no fraction, a unit or
    protocol that there is not."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    header = lines[0] if lines else []
    if missing := [
        column for column in dict.fromkeys(COLUMNS) if header.count(column) < COLUMNS.count(column)
    ]:
        raise RequestError(f"{path}: column {missing[0]} is missing; needed: {','.join(COLUMNS)}")
    if tuple(header) != COLUMNS:
        raise RequestError(f"{path}: columns {','.join(header)}; needed, in this order: {','.join(COLUMNS)}")
    return [_published(path, number, line) for number, line in enumerate(lines[1:], start=2)]


def _published(path: Path, number: int, line: list[str]) -> Published:
    where = f"{path}, line {number}"
    if len(line) != len(COLUMNS):
        raise RequestError(f"{where}: {len(line)} values for {len(COLUMNS)} columns")
    given = dict(zip(COLUMNS[:-1], line[:-1], strict=True))
    if given["unit"] != "accuracy":
        raise RequestError(f"{where}: unit={given['unit']}; allowed: accuracy, as a fraction between 0 and 1")
    if given["protocol"] not in ("inductive", "transductive"):
        raise RequestError(f"{where}: protocol={given['protocol']}; allowed: inductive, transductive")
    numbers = {}
    for key in ("value", "tolerance"):
        try:
            numbers[key] = float(given[key])
        except ValueError:
            raise RequestError(f"{where}: {key}={given[key]}; a number is needed") from None
        if not 0 <= numbers[key] <= 1:
            raise RequestError(
                f"{where}: {key}={given[key]}; a fraction between 0 and 1 is needed, not percent: "
                f"{numbers[key] / 100:g}"
            )
    if not given["n_test"].isdigit():
        raise RequestError(f"{where}: n_test={given['n_test']}; the number of test items is needed")
    if (given["source"] == MEAN) != (given["target"] == MEAN):
        raise RequestError(
            f"{where}: source={given['source']}, target={given['target']}; {MEAN} stands for both or for "
            "neither"
        )
    cell = {key: given[key] or None for key in CELL}
    cell["label_budget"] = (
        int(cell["label_budget"]) if (cell["label_budget"] or "").isdigit() else cell["label_budget"]
    )
    return Published(
        number, cell, numbers["value"], numbers["tolerance"], int(given["n_test"]), given["protocol"]
    )


def check_cells(published: list[Published], cells: list[tuple[dict, int]]) -> None:
    """Raises RequestError, before anything is trained, for a line that is no cell of the experiment, has
    another number of test items, or is a mean of no cell. cells: with their numbers of test items."""
    for row in published:
        items = {number for cell, number in cells if row.is_of(cell)}
        if not row.is_mean and not items:
            raise RequestError(f"{row}: the experiment has no such cell")
        if not row.is_mean and items != {row.n_test}:
            raise RequestError(
                f"{row}: n_test={row.n_test}, and the experiment tests on "
                f"{' or '.join(map(str, sorted(items)))} items"
            )
        if not row.members(published):
            raise RequestError(
                f"published.csv, line {row.line}: {MEAN} of no cell: no other line has its strategy, "
                "backbone and protocol"
            )


def tested_items(request: "Request") -> int:
    """Of a cell: those of one seed, over all its folds."""
    from transferscope.data.splits import split

    if request.asked.fold is not None:
        return int(request.target.is_labelled.sum())
    return len(split(request.target, request.asked.split_seed)[1])


# --- ours


def compared_rows(published: list[Published], store: Path, sweep: str, selection: str = "last") -> list[dict]:
    """The rows of the answer. Raises RequestError for a published cell that the sweep does not hold, or holds
    in several variants, or in which `selection` has nothing to choose by."""
    from transferscope.comparison.arms import read_store
    from transferscope.comparison.paired_scores import ScoreReader

    arms = [arm for arm in read_store(store).arms if sweep in arm.plans]
    reader = ScoreReader("accuracy", selection)
    ours = {row.line: found(row, arms, reader) for row in published if not row.is_mean}
    return [_row(row, [ours[member.line] for member in row.members(published)]) for row in published]


def found(row: Published, arms: list["Arm"], reader: "ScoreReader") -> "tuple[Effect, str] | None":
    """Our accuracy in a cell with its components of variance (with a single seed, that of the items alone),
    and the rule that selected it. None without a result."""
    import numpy as np

    from transferscope.comparison.scores import NotSelectable
    from transferscope.statistics.effect import estimate, estimate_over_items, group_means

    fitting = [arm for arm in arms if row.is_of(arm.cell)]
    if len(fitting) != 1:
        raise RequestError(
            f"{row}: the sweep has {f'{len(fitting)} variants of it' if fitting else 'no such cell'}"
        )
    try:
        read = [reader.row(runs) for runs in fitting[0].runs.values()]
    except NotSelectable as reason:
        raise RequestError(f"{row}: {reason}") from None
    if not read or None in read:
        return None
    scores = np.stack([seed.scores for seed in read])  # [K, n]
    units = group_means(scores, read[0].groups)
    effect = estimate(units) if len(units) > 1 else estimate_over_items(units[0])
    return replace(effect, delta=float(scores.mean())), read[
        0
    ].selection  # as published: every item counts once, whatever its group


def _row(row: Published, cells: "list[tuple[Effect, str] | None]") -> dict:
    shown = {"cell": {**row.cell, "protocol": row.protocol}, "published": row.value}
    if None in cells:
        return {
            **shown,
            "ours": None,
            "ci": None,
            "selection": None,
            "tolerance": row.tolerance,
            "inside": False,
        }
    ours = sum(effect.delta for effect, _ in cells) / len(cells)
    # of a mean: as if its tasks erred together, for they share items
    half = sum(effect.half(ALPHA) for effect, _ in cells) / len(cells)
    rules = ", ".join(dict.fromkeys(rule for _, rule in cells))
    inside = abs(ours - row.value) <= row.tolerance + 1e-9  # what a decimal fraction loses as a float
    return {
        **shown,
        "ours": ours,
        "ci": [ours - half, ours + half],
        "selection": rules,
        "tolerance": row.tolerance,
        "inside": inside,
    }


def print_table(rows: list[dict]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table("strategy", "source → target", box=SIMPLE_HEAD)
    for column in ("published", "ours", "95 % interval", "off by", "tolerance"):
        table.add_column(column, justify="right")
    table.add_column("selected by")
    table.add_column("")
    for row in rows:
        cell, ours = row["cell"], ["no result", "", ""]
        if row["ours"] is not None:
            ours = [
                f"{row['ours']:.3f}",
                "{:.3f} to {:.3f}".format(*row["ci"]),
                f"{row['ours'] - row['published']:+.3f}",
            ]
        task = "mean" if cell["source"] == MEAN else f"{cell['source'] or '∅'} → {cell['target']}"
        verdict = "inside" if row["inside"] else "miss"
        style = None if row["inside"] else "red"
        ends = f"{row['tolerance']:.3f}", row["selection"] or "", verdict
        table.add_row(cell["strategy"], task, f"{row['published']:.3f}", *ours, *ends, style=style)
    console.print(table)
    console.print(f"{sum(row['inside'] for row in rows)} of {len(rows)} inside their tolerance")
