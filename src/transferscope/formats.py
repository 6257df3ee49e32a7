"""A comparison as JSON, CSV, Markdown or a table for the terminal."""

import csv
import io
import json
import re
from collections import Counter, defaultdict

WIDE = 120  # columns from which the reason has a column of its own
LISTED = 8  # lines of missing or failed runs in a table; JSON has all
NUMBERS = ("labels", "seeds", "items", "p (Holm)", "MDE")
STYLES = {"positive": "green", "negative": "bold #d55e00", "equivalent": "blue", "undecided": "dim"}
_IDENTITY = ("target", "label_budget", "source", "backbone", "initialisation", "protocol", "seeds", "items")

# what is said of a gain and of a loss, by baseline; negative transfer against target-only baselines alone
_SAID = {
    "scratch": ("transfer helps", "hurts", " (negative transfer)"),
    "target_only": ("transfer helps", "hurts", " (negative transfer)"),
    "source_only": ("adapting gains", "loses", ""),
    "target_full": ("the strategy goes beyond all target labels", "falls short", ""),
    "shuffled_source": ("the source's true labels help", "hurt", ""),
}
_WANTS = {
    "more seeds": "for want of seeds",
    "needs test items, not seeds": "for want of test items, not of seeds",
    "budget": "out of reach of 100 seeds",
    "collapse": "because of collapsed runs",
    "one seed": "with one seed only",
}


def to_json(comparison) -> str:
    listed = {key: getattr(comparison, key) for key in ("missing", "failed", "not_applicable", "warnings", "settings")}
    return json.dumps({"cells": [cell.to_dict() for cell in comparison], **listed}, indent=1, allow_nan=False, ensure_ascii=False)


def to_csv(comparison) -> str:
    """One row a cell; intervals become two columns (`ci_low`, `ci_high`), lists are joined by '; '."""
    rows = []
    for cell in comparison:
        row = {}
        for key, value in cell.to_dict().items():
            if key in ("ci", "ci_simultaneous", "collapse_rate"):
                row[f"{key}_low"], row[f"{key}_high"] = value or ("", "")
            elif key == "without_collapse":
                row["delta_without_collapse"] = value["delta"] if value else ""
            else:
                row[key] = "; ".join(value) if isinstance(value, list) else value
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["source", "target", "verdict"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(comparison) -> str:
    notes = _Notes(comparison)
    columns = _columns(comparison, notes, wide=True)
    cells = list(zip(*(values for _, values in columns), strict=True))
    lines = [f"{line}  " for line in _opening(comparison)]
    if cells:
        lines += ["", _row(name for name, _ in columns), _row("---" for _ in columns), *map(_row, cells)]
    closing = [*notes.lines(), *_listing(comparison), sentence(comparison)]
    return "\n".join([*lines, "", *(f"{line}  " for line in closing)]) + "\n"


def to_table(comparison, width: int, colour: bool) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=colour, no_color=not colour, color_system="truecolor" if colour else None)
    for line in _opening(comparison):
        console.print(Text(line), soft_wrap=False)
    notes = _Notes(comparison)
    columns = _columns(comparison, notes, wide=width >= WIDE)
    if len(comparison):
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for name, _ in columns:
            wraps = name in ("target", "source", "strategy", "why undecided")
            table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold", no_wrap=not wraps)
        for row in zip(comparison, *(values for _, values in columns), strict=True):
            style = STYLES[row[0].verdict]
            table.add_row(*(Text(v, style=style if n == "verdict" else "") for (n, _), v in zip(columns, row[1:], strict=True)))
        console.print(table)
    for line in [*notes.lines(), *_listing(comparison)]:
        console.print(Text(line))
    console.print(Text(sentence(comparison), style="bold"))
    return text.getvalue()


def sentence(comparison) -> str:
    """What a person wants to take away. Controls are told apart, not counted."""
    cells = [cell for cell in comparison if not cell.family.endswith("/controls")]
    baseline = comparison.settings["baseline"].partition(":")[0]
    if not cells:
        return f"Nothing could be compared with {baseline}: see what is missing or failed, or give another --baseline."
    count = Counter(cell.verdict for cell in cells)
    helps, hurts, name = _SAID[baseline]
    equivalent = f"makes no difference beyond ±{_number(comparison.settings['margin'], comparison)} in {count['equivalent']}"
    undecided = f"undecided in {count['undecided']}"
    if count["undecided"]:
        why = Counter(cell.reason.partition(":")[0].partition(";")[0] for cell in cells if cell.verdict == "undecided")
        undecided += f": {', '.join(f'{n} {_WANTS[reason]}' for reason, n in why.most_common())}"
    controls = len(comparison) - len(cells)
    aside = f" Controls, not counted here: {controls}." if controls else ""
    loss = f"{hurts} in {count['negative']}{name if count['negative'] else ''}"
    plural = "" if count["positive"] == 1 else "s"
    return f"Against {baseline}, {helps} in {count['positive']} cell{plural}, {loss}, {equivalent}, {undecided}.{aside}"


class _Notes:
    """What must be known of some cells: the same note is numbered once."""

    def __init__(self, comparison):
        self.numbers: dict[str, int] = {}
        self.of = []
        for cell in comparison:
            told = [self.numbers.setdefault(note, len(self.numbers) + 1) for note in [*_collapse(cell, comparison), *cell.flags]]
            self.of.append("".join(f" [{number}]" for number in told))

    def lines(self) -> list[str]:
        return [f"[{number}] {note}" for note, number in self.numbers.items()]


def _columns(comparison, notes: _Notes, wide: bool) -> list[tuple[str, list[str]]]:
    """(heading, one text a cell). Narrow: the source stands under the strategy, what would decide under the verdict."""
    cells, varying = list(comparison), _varying(comparison)
    columns = [(_heading(key), [_told(cell, key) for cell in cells]) for key in varying if wide or key not in ("source", "initialisation")]
    strategies, verdicts = [], []
    for cell, mark in zip(cells, notes.of, strict=True):
        below = [] if wide else [f"{_heading(key)} {_told(cell, key)}" for key in ("source", "initialisation") if key in varying]
        strategies.append("\n".join([cell.strategy, *below, *filter(None, cell.variant.split(", "))]))
        verdicts.append(
            cell.verdict + (" *" if cell.material else "") + mark + (f"\n{_short(cell.reason)}" if cell.reason and not wide else "")
        )
    where = [place for place, (key, _) in enumerate(columns) if key in ("seeds", "items")]
    at = where[0] if where else len(columns)
    level = f"{100 * (1 - comparison.settings['alpha']):g} %"
    unit = "points" if comparison.settings["metric"] == "accuracy" else comparison.settings["metric"]
    told = [("strategy", strategies), ("verdict", verdicts)]
    told.append((f"Δ {unit} [{level}]", [f"{_signed(cell.delta, cell)} {_interval(cell.ci, cell)}".strip() for cell in cells]))
    if wide:
        told.append(("p (Holm)", ["" if cell.p_adjusted is None else _p(cell.p_adjusted) for cell in cells]))
        told.append(("MDE", ["" if cell.mde is None else _score(cell.mde, cell) for cell in cells]))
        columns.append(("why undecided", [cell.reason for cell in cells]))
    return columns[:at] + told + columns[at:]


def _varying(comparison) -> list[str]:
    """Keys that tell cells apart; where a strategy starts from only where one strategy starts from several."""
    varying = [key for key in _IDENTITY if len({getattr(cell, key) for cell in comparison}) > 1]
    starts = {(cell.strategy, cell.initialisation) for cell in comparison}
    return [key for key in varying if key != "initialisation" or len(starts) > len({strategy for strategy, _ in starts})]


def _told(cell, key: str) -> str:
    value = getattr(cell, key)
    return "–" if value is None else f"{value} groups" if key == "items" and cell.item_unit == "group" else str(value)


def _heading(key: str) -> str:
    return {"label_budget": "labels", "initialisation": "from"}.get(key, key)


def _opening(comparison) -> list[str]:
    s = comparison.settings
    margin = _number(s["margin"], comparison)
    lines = [f"baseline {s['baseline']} · metric {s['metric']} · selection {s['selection']} · margin ±{margin} · alpha {s['alpha']:g}"]
    if s["families"]:
        sizes = "; ".join(f"{family} {size}" for family, size in s["families"].items())
        lines.append(f"cells in each family (Holm): {sizes}")
    cells = list(comparison)
    same = [f"{_heading(key)} {_told(cells[0], key)}" for key in _IDENTITY if cells and len({getattr(c, key) for c in cells}) == 1]
    if same:
        lines.append(f"everywhere: {', '.join(same)}")
    if any(cell.material for cell in cells):
        lines.append("* beyond the margin with the whole simultaneous interval")
    return lines


def _listing(comparison) -> list[str]:
    lines = [f"warning: {warning}" for warning in comparison.warnings]
    for key in ("missing", "failed", "not_applicable"):
        together = defaultdict(list)
        for row in getattr(comparison, key):
            together[_described(row), row["reason"]].append(row["seed"])
        told = []
        for (what, reason), seeds in together.items():
            seeds = sorted(seed for seed in seeds if seed is not None)
            told.append(f"{key.replace('_', ' ')}: {what}{f', seed {_commas(seeds)}' if seeds else ''}: {reason}")
        lines += told[:LISTED]
        if len(told) > LISTED:
            lines.append(f"{key.replace('_', ' ')}: {len(told) - LISTED} more lines (--format json has all)")
    return lines


def _described(row: dict) -> str:
    if row.get("strategy") is None:
        return f"run {row['fingerprint']}"
    variant = f" ({row['variant']})" if row.get("variant") else ""
    domains = " → ".join(filter(None, (row["source"], row["target"])))
    labels = "" if row["label_budget"] is None else f", labels {row['label_budget']}"
    return f"{row['strategy']}{variant}, {domains}{labels}"


def _collapse(cell, comparison) -> list[str]:
    if not cell.collapsed:
        return []
    low, high = (f"{100 * bound:.0f}" for bound in cell.collapse_rate)
    level = f"{100 * (1 - comparison.settings['alpha']):g} %"
    rest = cell.without_collapse
    given = f"; Δ of the seeds without: {_signed(rest['delta'], cell)} {_interval(rest['ci'], cell)}".rstrip() if rest else ""
    return [f"{cell.collapsed} of {cell.seeds} strategy runs collapsed or diverged (rate {low} to {high} %, {level} interval){given}"]


def _short(reason: str) -> str:
    """`~9 seeds` for "more seeds: about 9 in all"."""
    what, _, how = reason.partition(";")[0].partition(":")
    number = re.search(r"[\d,]+", how)
    if what in ("more seeds", "budget"):
        return f"{'~' if what == 'more seeds' else '>'}{number[0]} seeds"
    if what.startswith("needs test items"):
        return f"~{number[0]} items" if number else "more items"
    return what


def _row(values) -> str:
    return f"| {' | '.join(value.replace('|', '/').replace(chr(10), '<br>') for value in values)} |"


def _commas(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))


def _number(value: float, comparison) -> str:
    """A margin in words."""
    if comparison.settings["metric"] != "accuracy":
        return f"{value:g}"
    return f"{100 * value:g} point{'' if value == 0.01 else 's'}"


def _score(value: float, cell) -> str:
    return f"{100 * value:.1f}" if cell.metric == "accuracy" else f"{value:.3f}"


def _signed(value: float, cell) -> str:
    text = _score(abs(value), cell)
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def _interval(bounds: tuple[float, float] | None, cell) -> str:
    return "" if bounds is None else f"[{_signed(bounds[0], cell)}, {_signed(bounds[1], cell)}]"


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
