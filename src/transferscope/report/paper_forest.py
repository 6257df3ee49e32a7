"""Verdicts as a forest plot for a paper: a row a cell, with its Δ, its intervals and its verdict."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferscope.comparison import formatting
from transferscope.report import figures, words
from transferscope.report.layout import Target, View
from transferscope.report.paper_style import (
    BASE,
    PALE,
    SIZE,
    TITLE,
    TONES,
    WIDE,
    holds,
    mark,
    stamps,
    tick,
    title,
    wrapped,
)

ROW, LABEL, PLOT = 0.155, 2.05, 2.2  # inches
MOST, TALLEST = 40, 8.0  # rows and inches of one file
COLUMNS = {"value": 0.12, "verdict": 1.4, "data": 2.55}  # inches to the right of the plot
Row = tuple[float, str, View | None]  # from the top, label in lines, cell


def forest(target: Target, views: Sequence[View], settings: dict) -> Figure:
    rows, units = _placed(views)
    head = wrapped(title(target, f"Δ of {settings['metric']}", settings), WIDE - 0.2, TITLE, "bold")
    foot = _foot(target, views, settings)
    top, bottom = 0.3 + 0.14 * head.count("\n"), 0.62 + 0.12 * foot.count("\n")
    whole = top + ROW * units + bottom
    figure = Figure(figsize=(WIDE, whole))
    axes = figure.add_axes((LABEL / WIDE, bottom / whole, PLOT / WIDE, ROW * units / whole))
    _ground(axes, target, settings, units)
    for row in rows:
        _row(axes, target, *row)
    figure.text(0.1 / WIDE, 1 - 0.07 / whole, head, size=TITLE, weight="bold", va="top")
    figure.text(0.1 / WIDE, 0.06 / whole, foot, size=SIZE - 0.5, va="bottom", linespacing=1.3)
    return figure


def fits(views: Sequence[View]) -> bool:
    """Whether one file holds them."""
    return len(views) <= MOST and _placed(views)[1] * ROW <= TALLEST


def _placed(views: Sequence[View]) -> tuple[list[Row], float]:
    """The rows, with a heading where the source changes, and the height of all."""
    rows: list[Row] = []
    at, before = 1.4, None
    for view in views:
        cell = view.cell
        is_stated = not cell.evidence.is_imported
        without = "no source domain" if is_stated else "source not stated"
        heading = wrapped(f"{cell.source or without} → {cell.target}", WIDE - 0.2)
        label = wrapped(f"{view.label}, {words.budget(cell.label_budget, is_stated)}", LABEL - 0.35)
        for text, one in ([(heading, None)] if heading != before else []) + [(label, view)]:
            at += 0.3 if one is None and rows else 0.0
            rows.append((at, text, one))
            at += 1.0 + 0.75 * text.count("\n")
        before = heading
    return rows, at


def _foot(target: Target, views: Sequence[View], settings: dict) -> str:
    level = formatting.level(settings["alpha"])
    margin = formatting.margin(settings)
    text = f"Thick: {level} interval of the cell alone. Thin, and in brackets: widened for the family; such "
    text += f"intervals {holds(settings)}. Lines: no difference, margin ±{margin}. n: seeds × items."
    text += " Arrows: it goes on." * any(any(target.axis.beyond(view.cell.ci_simultaneous)) for view in views)
    return "\n".join(wrapped(line, WIDE - 0.2, SIZE - 0.5) for line in (text, *stamps(views, settings)))


def _ground(axes: Axes, target: Target, settings: dict, units: float) -> None:
    """Scale, zero, margin, and the headings of the columns at the right."""
    metric, unit = settings["metric"], formatting.unit_in(settings)
    axes.set(xlim=(target.axis.lo, target.axis.hi), ylim=(units, 0), yticks=[])
    axes.set_xticks(target.axis.ticks, [tick(value, metric) for value in target.axis.ticks])
    axes.set_xlabel(f"Δ of {metric} in {unit}")
    axes.spines["left"].set_visible(False)
    axes.plot([0, 0], [0.8, units], color="black", lw=0.7, gid="zero")
    if width := target.margin_value:
        axes.fill_between([-width, width], 0.8, units, color=PALE, alpha=0.6, lw=0, zorder=0)
        for side in (-width, width):
            axes.plot([side, side], [0.8, units], color=BASE, lw=0.6, ls=(0, (3, 2)), gid="margin")
    _beside(axes, 0.4, f"Δ in {unit}", COLUMNS["value"], color=BASE)
    _beside(axes, 0.4, "verdict", COLUMNS["verdict"], color=BASE)
    _beside(axes, 0.4, "n", COLUMNS["data"], color=BASE, ha="right")
    axes.text(target.axis.lo, 0.4, "← baseline better", color=BASE, va="center")
    axes.text(target.axis.hi, 0.4, "strategy better →", color=BASE, va="center", ha="right")


def _row(axes: Axes, target: Target, at: float, label: str, view: View | None) -> None:
    inset, weight = (0.22, "normal") if view else (0.1, "bold")
    _beside(axes, at, label, inset - LABEL - PLOT, weight=weight)
    if view is None:
        return
    cell = view.cell
    if not target.margin_value:  # each row has a margin of its own
        axes.vlines([-cell.margin, cell.margin], at - 0.4, at + 0.4, color=BASE, lw=0.6)
    for name, bounds, width in (("simultaneous", cell.ci_simultaneous, 0.7), ("ci", cell.ci, 2.0)):
        if bounds:
            axes.plot(bounds, [at, at], color=TONES[cell.verdict], lw=width, gid=f"{view.id}-{name}")
            _cut(axes, target.axis, bounds, at, TONES[cell.verdict])
    mark(axes, cell.delta, at, cell.verdict, gid=f"{view.id}-delta")
    told = formatting.interval(cell.ci_simultaneous, cell.metric)
    _beside(axes, at, f"{formatting.signed(cell.delta, cell.metric)} {told}", COLUMNS["value"])
    _beside(axes, at, cell.verdict, COLUMNS["verdict"], color=TONES[cell.verdict])
    _beside(axes, at, f"{cell.seeds} × {cell.items}", COLUMNS["data"], ha="right")


def _beside(axes: Axes, at: float, text: str, inches: float, **how) -> None:
    """A text that starts so far to the right of the plot, its first line at the row."""
    middle = at + 0.375 * text.count("\n")
    axes.text(1 + inches / PLOT, middle, text, transform=axes.get_yaxis_transform(), va="center", **how)


def _cut(axes: Axes, axis: figures.Axis, bounds: tuple[float, float], at: float, tone: str) -> None:
    """An arrow where an interval leaves the axis."""
    for beyond, edge, arrow in zip(axis.beyond(bounds), (axis.lo, axis.hi), "<>", strict=True):
        if beyond:
            axes.plot([edge], [at], arrow, color=tone, ms=3, clip_on=False)
