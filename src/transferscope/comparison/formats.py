"""A comparison as JSON, CSV, Markdown or a table for the terminal."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

from transferscope.comparison import formatting, ranking, wording
from transferscope.comparison.advice import advice
from transferscope.comparison.formatting import interval, signed
from transferscope.comparison.wording import IDENTITY, formatted, heading
from transferscope.store.schema import Json
from transferscope.tasks.metrics import METRICS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from transferscope.comparison.best import Best
    from transferscope.comparison.cells import Cell
    from transferscope.comparison.contrasts import Contrast
    from transferscope.comparison.findings import Findings
    from transferscope.comparison.ranking import Ranking

# columns from which the reason has a column of its own, where there is room for all of the rest
WIDE = 140
# columns whose texts may be broken into several lines, into no shorter ones than this
WRAPS, WRAPPED = ("target", "source", "strategy", "why undecided"), 18
# columns of the narrow table that go first where there is no room
DISPENSABLE = ("P(harm / gain)", "ahead", "ECE", "items", "seeds")
SPARED_WIDE = ("way to", "of the naive", "ECE", "MDE", "p (")
NUMBERS = ("labels", "seeds", "items", "ahead", "P(harm / gain)", "p (Holm)", "p (BH)", "MDE", "ECE")
RISE = {"": "mean", "upper": "upper", "remaining": "remaining"}  # columns of how a training ends
IN_UNIT = (
    "delta",
    "mde",
    "margin",
    "seed_half",
    "item_half",
    "strategy_score",
    "baseline_score",
    "target_full_score",
)
CORRECTIONS = {"holm": "Holm", "bh": "BH"}
STYLES = {"positive": "green", "negative": "bold #d55e00", "equivalent": "blue", "undecided": "dim"}


def to_json(comparison: "Findings") -> str:
    listed = {
        key: getattr(comparison, key)
        for key in ("taken_back", "missing", "failed", "not_applicable", "warnings", "settings")
    }
    judged: dict[str, Sequence[Cell | Contrast | Best | Ranking]] = {
        "cells": comparison.cells,
        "contrasts": comparison.contrasts,
        "best": comparison.best,
        "rankings": comparison.rankings,
    }
    rows = {key: [row.to_dict() for row in found] for key, found in judged.items()}
    return json.dumps({**rows, **listed}, indent=1, allow_nan=False, ensure_ascii=False)


def to_csv(comparison: "Findings") -> str:
    """One row a cell, its scores and differences in the unit that the table shows, which `unit` names.

    Intervals become two columns (`ci_low`, `ci_high`), lists are joined by '; '.
    """
    return csv_of(rows(comparison), ["source", "target", "verdict"])


def csv_of(rows: Sequence[Json], columns: Sequence[str]) -> str:
    """columns: where there is no row to tell them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def rows(comparison: "Findings") -> list[Json]:
    """A cell each, by the CSV's columns."""
    return [_csv_row(cell) for cell in comparison]


def columns_of(comparison: "Findings") -> list[tuple[str, list[str]]]:
    """(heading, one text a cell) of the wide table."""
    return _columns(comparison, _Notes(comparison).of, wide=True)


def _csv_row(cell: "Cell") -> Json:
    def shown(value: float | None) -> float | None:
        return formatting.shown(value, cell.metric) if isinstance(value, (int, float)) else value

    row: Json = {}
    for key, value in cell.to_dict().items():
        if key in ("ci", "ci_simultaneous"):
            row[f"{key}_low"], row[f"{key}_high"] = map(shown, value or ("", ""))
        elif key in ("collapse_rate", "share_of_way_ci"):
            row[f"{key}_low"], row[f"{key}_high"] = value or ("", "")
        elif key == "without_collapse":
            row["delta_without_collapse"] = shown(value["delta"]) if value else ""
        elif key in ("strategy_rise", "baseline_rise"):
            row |= {f"{key}{part and '_'}{part}": shown(value[name]) for part, name in RISE.items()}
        elif key == "rates":
            row[key] = "; ".join(f"{rate}: {shown(delta)}" for rate, delta in (value or {}).items())
        elif isinstance(value, list):
            row[key] = "; ".join(map(str, value))
        else:
            row[key] = shown(value) if key in IN_UNIT else value
        if key == "metric":
            row["unit"] = cell.unit
    return row


def to_markdown(comparison: "Findings") -> str:
    notes = _Notes(comparison)
    lines = [f"{inert(line)}  " for line in wording.opening(comparison)]
    lines += markdown_table(_columns(comparison, notes.of, wide=True))
    closing = [*_below(comparison, notes), wording.sentence(comparison), *wording.best(comparison)]
    return "\n".join([*lines, "", *(f"{inert(line)}  " for line in closing)]) + "\n"


def to_table(comparison: "Findings", width: int, colour: bool) -> str:
    from rich.text import Text

    text = io.StringIO()
    console = console_of(text, width, colour)
    for line in wording.opening(comparison):
        console.print(Text(line), soft_wrap=False)
    notes = _Notes(comparison)
    columns, left_out = _fitting(comparison, notes.of, width)
    if len(comparison):
        console.print(rich_table(columns, _verdicts(comparison)))
    if left_out:
        console.print(Text(f"left out for want of room: {', '.join(left_out)} (--format csv has all)"))
    for line in _below(comparison, notes):
        console.print(Text(line))
    for line in [wording.sentence(comparison), *wording.best(comparison)]:
        console.print(Text(line, style="bold"))
    return text.getvalue()


def short_table(comparison: "Findings", width: int, rows: int) -> list["Table | str"]:
    """The first `rows` cells without what is said around them, for rich."""
    shown = replace(comparison, cells=comparison.cells[:rows])
    columns, _ = _fitting(shown, [""] * len(shown), width)
    left = len(comparison) - len(shown)
    return [rich_table(columns, _verdicts(shown)), *([f"and {left} cells more"] if left else [])]


def console_of(text: io.StringIO, width: int, colour: bool) -> "Console":
    from rich.console import Console

    return Console(
        file=text,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="truecolor" if colour else None,
    )


def _fitting(
    comparison: "Findings", marks: list[str], width: int
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The columns that a terminal has room for, and the headings of those that it has not: from WIDE on of
    the wide table, unless this leaves too much out."""
    if width >= WIDE:
        columns, left_out = spared(_columns(comparison, marks, wide=True), SPARED_WIDE, width)
        if sum(map(_room, columns)) <= width:
            return columns, left_out
    return spared(_columns(comparison, marks, wide=False), DISPENSABLE, width)


def spared(
    columns: list[tuple[str, list[str]]], dispensable: Sequence[str], width: int
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Less those that can be spared, one after the other, until the rest has room; and their headings."""
    left_out = []
    for beginning in dispensable:
        if sum(map(_room, columns)) <= width:
            break
        gone = [name for name, _ in columns if name.startswith(beginning)]
        left_out += gone
        columns = [column for column in columns if column[0] not in gone]
    return columns, left_out


def _room(column: tuple[str, list[str]]) -> int:
    name, values = column
    longest = max(len(line) for text in [name, *values] for line in text.splitlines() or [""])
    return 2 + (min(longest, WRAPPED) if name in WRAPS else longest)


def _verdicts(comparison: "Findings") -> list[str]:
    return [cell.verdict for cell in comparison]


def rich_table(columns: list[tuple[str, list[str]]], verdicts: Sequence[str] = ()) -> "Table":
    """verdicts: of each row, for its colour; without them every column is one of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name, _ in columns:
        is_number = not verdicts or name in NUMBERS
        table.add_column(
            Text(name),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=bool(verdicts) and name not in WRAPS,
        )
    rows = zip(*(values for _, values in columns), strict=True)
    for row, verdict in zip(rows, verdicts or repeat("undecided"), strict=bool(verdicts)):
        style = STYLES[verdict]
        table.add_row(
            *(Text(v, style=style if n == "verdict" else "") for (n, _), v in zip(columns, row, strict=True))
        )
    return table


def _below(comparison: "Findings", notes: "_Notes") -> list[str]:
    apart = [*wording.contrasts(comparison), *ranking.line(comparison.rankings, comparison.settings["alpha"])]
    return [
        *notes.lines(),
        *wording.finished(comparison),
        *advice(comparison),
        *apart,
        *wording.listing(comparison),
    ]


class _Notes:
    """What must be known of some cells: the same note is numbered once."""

    def __init__(self, comparison: "Findings"):
        self.numbers: dict[str, int] = {}
        self.of = []
        for cell in comparison:
            note_numbers = [
                self.numbers.setdefault(note, len(self.numbers) + 1)
                for note in [*_collapse(cell, comparison), *cell.flags]
            ]
            self.of.append("".join(f" [{number}]" for number in note_numbers))

    def lines(self) -> list[str]:
        return [f"[{number}] {note}" for note, number in self.numbers.items()]


def _columns(comparison: "Findings", marks: list[str], wide: bool) -> list[tuple[str, list[str]]]:
    """(heading, one text a cell). marks: of the notes that a cell has. Narrow: the source stands under the
    strategy, what would decide under the verdict."""
    cells, keys, s = list(comparison), varying(comparison), comparison.settings
    metric = s["metric"]
    columns = [
        (heading(key, metric), [formatted(cell, key) for cell in cells])
        for key in keys
        if wide or key not in ("source", "initialisation")
    ]
    strategies, verdicts = [], []
    for cell, mark in zip(cells, marks, strict=True):
        below = (
            []
            if wide
            else [
                f"{heading(key)} {formatted(cell, key)}"
                for key in ("source", "initialisation")
                if key in keys
            ]
        )
        strategies.append("\n".join([cell.strategy, *below, *filter(None, cell.variant.split(", "))]))
        verdicts.append(
            verdict_of(cell) + mark + (f"\n{_short(cell.reason)}" if cell.reason and not wide else "")
        )
    where = [place for place, (key, _) in enumerate(columns) if key in ("seeds", "items")]
    at = where[0] if where else len(columns)
    answer = [("strategy", strategies), ("verdict", verdicts)]
    gains = [
        f"{signed(cell.delta, metric)} {interval(cell.ci_simultaneous, metric)}".strip() for cell in cells
    ]
    answer.append((f"Δ {formatting.unit_in(s)} [{formatting.level(s['alpha'])}]", gains))
    if any(cell.seeds_ahead is not None for cell in cells):
        answer.append(("ahead", [wording.ahead(cell) for cell in cells]))
    if any(cell.probability_harm is not None for cell in cells):
        answer.append(("P(harm / gain)", [wording.probable(cell) for cell in cells]))
    if wide:
        both = [(cell.strategy_score, cell.baseline_score) for cell in cells]
        scores = [" vs ".join(formatting.score(score, metric) for score in pair) for pair in both]
        answer.append(("scores", scores))
        if any(cell.percent_of_naive is not None for cell in cells):
            answer.append(("of the naive error", [_percent(cell.percent_of_naive) for cell in cells]))
        answer.append((f"p ({CORRECTIONS[s['correction']]})", [wording.p_value(cell) for cell in cells]))
        if any(cell.share_of_way is not None for cell in cells):
            shares = [formatting.share(cell.share_of_way, cell.share_of_way_ci) for cell in cells]
            answer.append((f"way to target_full [{formatting.level(s['alpha'])}, alone]", shares))
        answer.append(("MDE", [wording.detectable(cell) for cell in cells]))
        columns.append(("why undecided", [cell.reason for cell in cells]))
    if (
        any(cell.strategy_ece is not None for cell in cells) and METRICS[metric].is_loss
    ):  # beside which the calibration error is shown
        answer.append(("ECE", [_calibration(cell) for cell in cells]))
    return columns[:at] + answer + columns[at:]


class Judged(Protocol):
    """A cell, or a claim over domains."""

    @property
    def verdict(self) -> str: ...
    @property
    def material(self) -> bool: ...
    @property
    def no_harm(self) -> bool: ...
    @property
    def no_gain(self) -> bool: ...


def verdict_of(cell: Judged) -> str:
    """With what is shown short of a verdict: `undecided, no harm`."""
    half = ", no harm" if cell.no_harm else ", no gain" if cell.no_gain else ""
    return cell.verdict + (" *" if cell.material else "") + (half if cell.verdict == "undecided" else "")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{formatting.signed(value / 100, 'accuracy')} %"


def _calibration(cell: "Cell") -> str:
    """Of strategy and baseline; shown, never judged."""
    return " vs ".join(
        "–" if value is None else f"{value:.3f}" for value in (cell.strategy_ece, cell.baseline_ece)
    )


def varying(comparison: "Findings") -> list[str]:
    """Keys that tell cells apart; where a strategy starts from only where one strategy starts from
    several."""
    found = [key for key in IDENTITY if len({getattr(cell, key) for cell in comparison}) > 1]
    starts = {(cell.strategy, cell.initialisation) for cell in comparison}
    return [
        key
        for key in found
        if key != "initialisation" or len(starts) > len({strategy for strategy, _ in starts})
    ]


def _collapse(cell: "Cell", comparison: "Findings") -> list[str]:
    if not cell.collapsed:
        return []
    low, high = (f"{100 * bound:.0f}" for bound in cell.collapse_rate)
    level = formatting.level(comparison.settings["alpha"])
    rest = cell.without_collapse
    given = (
        (
            f"; Δ of the seeds without: {signed(rest['delta'], cell.metric)} "
            f"{interval(rest['ci'], cell.metric)} ({level}, alone)"
        )
        if rest
        else ""
    )
    return [
        (
            f"{cell.collapsed} of {cell.seeds} strategy runs collapsed or diverged (rate {low} to {high} %, "
            f"{level} interval){given}"
        )
    ]


def _short(reason: str) -> str:
    """`~9 seeds` for "more seeds: about 9 in all", and where a plan's budget came first."""
    what, _, how = reason.removeprefix("budget; ").partition(";")[0].partition(":")
    number = re.search(r"[\d,]+", how)
    if what in ("more seeds", "budget") and number:
        return f"{'~' if what == 'more seeds' else '>'}{number[0]} seeds"
    if what.startswith("needs test items"):
        return (f"~{number[0]} items" if number else "more items") + " and seeds" * what.endswith("and seeds")
    return "train longer" if what.endswith("still improving") else what


def markdown_table(columns: list[tuple[str, list[str]]], rule: str = "---") -> list[str]:
    """Lines; none without a row."""
    rows = list(zip(*(values for _, values in columns), strict=True))
    return (
        ["", _row(name for name, _ in columns), _row(rule for _ in columns), *map(_row, rows)] if rows else []
    )


def _row(values: Iterable[str]) -> str:
    return f"| {' | '.join(inert(value).replace('|', '/').replace(chr(10), '<br>') for value in values)} |"


def inert(text: str) -> str:
    """Markdown takes what looks like a tag for one."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)
