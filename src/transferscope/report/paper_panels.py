"""Small multiples for a paper: scores and Δ along the label budgets, and training curves."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transferscope.comparison import formatting
from transferscope.report import figures, words
from transferscope.report.layout import Line, Source, Target, View, budget_order, source_name
from transferscope.report.paper_style import (
    BASE,
    MARKS,
    NARROW,
    PALE,
    SIZE,
    TITLE,
    TONES,
    WIDE,
    mark,
    stamps,
    tick,
    title,
    wrapped,
)

HEIGHT, LEFT = 0.85, 0.52  # inches: of an axis, and at its left
BASELINE: dict[str, Any] = {
    "color": "#999999",
    "ls": "--",
    "lw": 1.0,
}  # over the strategy, so that equal lines are both seen


def budgets(target: Target, source: Source, lines: Sequence[Line], settings: dict) -> Figure:
    """Two axes a strategy: mean scores of both arms above, Δ below, by label budget."""
    views = [view for line in lines for view in line.views.values()]
    head = title(target, f"{settings['metric']} by label budget, {source_name(source.name)}", settings)
    figure, grid = _grid([line.label for line in lines], 2, head, _budget_words(settings), views, settings)
    for (above, below), line in zip(grid, lines, strict=True):
        _scores(above, target, line, settings["metric"])
        _differences(below, target, line, settings["metric"])
    return figure


def _budget_words(settings: dict) -> str:
    metric = settings["metric"]
    level, margin = formatting.level(settings["alpha"]), formatting.margin(settings)
    turned = "" if formatting.in_points(metric) else ", a loss with its sign turned"
    text = f"Across: labels a class. Above: mean scores{turned}. Below: Δ with the {level} interval of each "
    text += f"cell alone; grey area: at all budgets at once; level band: margin ±{margin}. What reaches the "
    return text + "edge of a panel goes on."


def curves(target: Target, source: Source, views: Sequence[View], settings: dict) -> Figure:
    """Test accuracy while training, mean and range over seeds, a panel a cell."""
    foot = (
        "Across: steps. Mean over seeds; area: from the lowest to the highest seed. Colour, shape: verdict."
    )
    head = title(target, f"test accuracy while training, {source_name(source.name)}", settings)
    names = [
        f"{view.label}, {words.budget(view.cell.label_budget, not view.cell.evidence.is_imported)}"
        for view in views
    ]
    figure, grid = _grid(names, 1, head, foot, views, settings)
    for (axes,), view in zip(grid, views, strict=True):
        _curve(axes, target, view)
    return figure


def _grid(
    names: Sequence[str], high: int, head: str, foot: str, views: Sequence[View], settings: dict
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a title and a key, and the axes of each panel, `high` of them one below the other. All
    is placed by hand: what a layout engine does is not the same to the last digit twice."""
    width, columns = (NARROW, len(names)) if len(names) < 3 else (WIDE, min(len(names), 4))
    rows = math.ceil(len(names) / columns)
    head = wrapped(head, width - 0.2, TITLE, "bold")
    foot = "\n".join(wrapped(text, width - 0.2, SIZE - 0.5) for text in (foot, *stamps(views, settings)))
    names = [wrapped(name, (width - LEFT) / columns - 0.15) for name in names]
    key, across = _key(views), 6 if width == WIDE else 3
    title_height = 0.07 + 0.12 * max(name.count("\n") + 1 for name in names)
    key_top = 0.22 + 0.15 * math.ceil(len(key) / across) + 0.12 * foot.count("\n")
    above, below = 0.28 + 0.14 * head.count("\n") + title_height, key_top + 0.3
    panel, gap = high * HEIGHT, title_height + 0.28
    whole = above + rows * panel + (rows - 1) * gap + below
    figure = Figure(figsize=(width, whole))
    figure.text(0.1 / width, 1 - 0.07 / whole, head, size=TITLE, weight="bold", va="top")
    figure.text(0.1 / width, 0.06 / whole, foot, size=SIZE - 0.5, va="bottom", linespacing=1.3)
    place: dict[str, Any] = {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, key_top / whole),
        "borderaxespad": 0.0,
    }
    figure.legend(handles=key, ncols=across, borderpad=0.0, **place)
    edges = {
        "left": LEFT / width,
        "right": 1 - 0.1 / width,
        "top": 1 - above / whole,
        "bottom": below / whole,
    }
    outer = figure.add_gridspec(rows, columns, hspace=gap / panel, wspace=0.12, **edges)
    grid = []
    for k, name in enumerate(names):
        inner = outer[k // columns, k % columns].subgridspec(high, 1, hspace=0.12)
        grid.append(list(inner.subplots(squeeze=False).flat))
        grid[-1][0].set_title(name, pad=4)
    return figure, grid


def _key(views: Sequence[View]) -> list[Line2D]:
    """What lines and shapes mean."""
    lines = [Line2D([], [], color="black", lw=1.4, label="strategy")]
    lines.append(Line2D([], [], label="baseline", **BASELINE))
    shown = {view.cell.verdict for view in views}
    for verdict in (verdict for verdict in words.VERDICTS if verdict in shown):
        face = "white" if verdict == "undecided" else TONES[verdict]
        shape: dict[str, Any] = {"marker": MARKS[verdict], "mec": TONES[verdict], "mfc": face}
        lines.append(Line2D([], [], ls="", ms=4.5, label=verdict, **shape))
    return lines


def _scores(axes: Axes, target: Target, line: Line, metric: str) -> None:
    """Mean scores of both arms; losses have their sign flipped, as everywhere."""
    views = target.views
    both = [(view.cell.strategy_score, view.cell.baseline_score) for view in views]
    scale = figures.curve_axes([[(0.0, score, score, score) for pair in both for score in pair]])[1]
    for key, how in (("strategy_score", {"color": "black", "lw": 1.4}), ("baseline_score", BASELINE)):
        found = [getattr(line.views[at].cell, key) if at in line.views else math.nan for at in _at(target)]
        axes.plot(range(len(found)), found, marker=".", ms=4, gid=key, **how)
    _frame(axes, scale, metric, f"{metric} ({formatting.unit(metric)})", sign=False)
    axes.set_xticks(range(len(_at(target))), [])
    axes.set_xlim(-0.5, len(_at(target)) - 0.5)


def _differences(axes: Axes, target: Target, line: Line, metric: str) -> None:
    """Δ with the interval of each cell alone, and the band that holds at all budgets at once."""
    places = _at(target)
    band = [line.panel["band"].get(at) or (math.nan, math.nan) for at in places]
    axes.fill_between(range(len(places)), *zip(*band, strict=True), color=BASE, alpha=0.35, lw=0)
    axes.axhline(0.0, color="black", lw=0.7)
    axes.axhspan(-target.margin_value, target.margin_value, color=PALE, lw=0, zorder=0)
    deltas = [line.views[at].cell.delta if at in line.views else math.nan for at in places]
    axes.plot(range(len(places)), deltas, color=BASE, lw=0.8)
    for x, view in ((places.index(at), view) for at, view in line.views.items()):
        if view.cell.ci:
            axes.plot([x, x], view.cell.ci, color=TONES[view.cell.verdict], gid=f"{view.id}-ci")
        mark(axes, x, view.cell.delta, view.cell.verdict, gid=f"{view.id}-delta")
    _frame(axes, target.budget_axis, metric, f"Δ ({formatting.unit(metric)})", sign=True)
    axes.set_xticks(
        range(len(places)), ["–" if at is None else "all" if at == "full" else at for at in places]
    )
    axes.set_xlim(-0.5, len(places) - 0.5)


def _curve(axes: Axes, target: Target, view: View) -> None:
    own: dict[str, Any] = {"color": TONES[view.cell.verdict], "lw": 1.4}
    for arm, how in (("strategy", own), ("baseline", BASELINE)):
        if not (line := view.curves["lines"][arm]):
            continue
        if len(line) == 1:  # one evaluation alone is a level
            line = [(target.curve_steps.lo, *line[0][1:]), (target.curve_steps.hi, *line[0][1:])]
        steps, mean, lowest, highest = zip(*line, strict=True)
        axes.fill_between(steps, lowest, highest, color=how["color"], alpha=0.2, lw=0)
        axes.plot(steps, mean, gid=f"{view.id}-{arm}", **how)
        if arm == "strategy":
            mark(axes, steps[-1], mean[-1], view.cell.verdict)
    _frame(axes, target.curve_scores, "accuracy", "accuracy (points)", sign=False)
    axes.set_xlim(target.curve_steps.lo, target.curve_steps.hi)
    axes.set_xticks(target.curve_steps.ticks, [f"{step:g}" for step in target.curve_steps.ticks])
    for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side)


def _at(target: Target) -> list:
    return sorted({view.cell.label_budget for view in target.views}, key=budget_order)


def _frame(axes: Axes, scale: figures.Axis, metric: str, label: str, sign: bool) -> None:
    """The vertical scale, which all panels of a figure share: its numbers stand at the left alone."""
    first = axes.get_subplotspec().get_topmost_subplotspec().is_first_col()
    axes.set_ylim(scale.lo, scale.hi)
    axes.set_yticks(scale.ticks, [tick(value, metric, sign) if first else "" for value in scale.ticks])
    axes.set_ylabel(label if first else "")
    axes.grid(axis="y", color=PALE, lw=0.4)
    axes.set_axisbelow(True)
