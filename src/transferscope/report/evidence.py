"""What lies behind a cell: its seeds, its classes, its training curves."""

from collections.abc import Callable, Sequence
from pathlib import Path

from transferscope import record, verdict
from transferscope.compare import Cell
from transferscope.errors import Refused
from transferscope.report import figures, method, words
from transferscope.report.classes import class_differences, worst_class
from transferscope.report.layout import Target, View


def add(target: Target, alpha: float) -> None:
    """Fill seeds, classes, curves and runs of every view of a target."""
    read = _histories(f"{target.name}/test/accuracy")
    lines: list[tuple[View, str, list]] = []
    for view in target.views:
        seen = view.cell.evidence
        view.seeds = seeds(view)
        view.classes = by_class(view, alpha)
        view.notes = notes(view.cell)
        view.without_collapse = method.without_collapse(view.cell)
        arms = {"strategy": seen.strategy_runs, "baseline": seen.baseline_runs}
        view.runs = [(getattr(view.cell, arm), [Path(run).name for run in runs]) for arm, runs in arms.items()]
        found = {arm: figures.curve([read(run) for run in runs]) for arm, runs in arms.items()}
        if any(found.values()):
            view.curves = {"spoken": _spoken(view, found), **dict.fromkeys(arms)}
            lines += [(view, arm, line) for arm, line in found.items() if line]
    if lines:
        target.curve_steps, target.curve_scores = figures.curve_axes(line for _, _, line in lines)
    deltas = [row for view in target.views if view.classes for row in view.classes["rows"]]
    largest = max((abs(row["delta"]) for row in deltas), default=0.0) or 1.0
    for row in deltas:
        row["size"] = round(abs(row["delta"]) / largest, 3)
    for view, arm, line in lines:
        view.curves[arm] = figures.curve_shape(target.curve_steps, target.curve_scores, line)


def notes(cell: Cell) -> list[str]:
    """Half-verdicts and flags, in words."""
    said = []
    if cell.verdict in ("positive", "negative"):
        said.append("beyond the margin" if cell.material else "a difference; that it exceeds the margin is not shown")
    elif cell.verdict == "undecided" and cell.no_harm:
        said.append("no harm: not worse by the margin or more")
    elif cell.verdict == "undecided" and cell.no_gain:
        said.append("no gain: not better by the margin or more")
    return [*said, *(str(flag) for flag in cell.flags)]


def seeds(view: View) -> dict:
    """Scores of both arms, a row a seed."""
    seen = view.cell.evidence
    arms = [verdict.group_means(scores, seen.groups).mean(axis=1).tolist() for scores in (seen.strategy_scores, seen.baseline_scores)]
    return figures.seed_pairs(seen.seeds, *arms)


def by_class(view: View, alpha: float) -> dict | None:
    """Rows and axis of Δ per class; nothing with a single seed."""
    seen = view.cell.evidence
    if len(seen.seeds) < 2:
        return None
    names = [str(name) for name in seen.classes]
    rows = class_differences(seen.strategy_scores - seen.baseline_scores, seen.labels, seen.groups, names, alpha)
    axis = figures.difference_axis([row["delta"] for row in rows], [row["ci"] for row in rows], 0.0)
    for row in rows:
        row["bar"] = figures.bar(axis, row["ci"])
    return {"names": names, "rows": rows, "by_name": {row["name"]: row for row in rows}, "axis": axis, "worst": worst_class(rows)}


def _histories(column: str) -> Callable[[Path | str], list[tuple[float, float]]]:
    """A reader of (step, value) that opens each run once: baselines are shared by many cells."""
    known: dict[str, list] = {}

    def read(run: Path | str) -> list[tuple[float, float]]:
        if str(run) not in known:
            try:
                rows = record.read_history(Path(run))
            except (OSError, ValueError, Refused):  # a run without a history (closed form, old store) has no curve
                rows = []
            known[str(run)] = [(row["step"], row[column]) for row in rows if "step" in row and column in row]
        return known[str(run)]

    return read


def _spoken(view: View, found: dict[str, Sequence]) -> str:
    ends = [f"{getattr(view.cell, arm)} ends at {words.number(line[-1][1], 'accuracy')}" for arm, line in found.items() if line]
    return "; ".join(ends)
