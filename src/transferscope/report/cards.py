"""What lies behind a cell: its seeds, classes, subgroups, items and training curves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from transferscope.comparison import formatting
from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence import calibration_change, flips, forgetting, learning, parts
from transferscope.comparison.evidence.class_scores import class_scores
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.comparison.evidence.residuals import residuals as measured_residuals
from transferscope.errors import RequestError
from transferscope.report import figures, method, residuals
from transferscope.report.layout import Target, View
from transferscope.report.pictures import Pictures
from transferscope.statistics import effect
from transferscope.store import record
from transferscope.tasks.metrics import HEADLINES, METRICS


def add(
    target: Target, alpha: float, reader: PredictionReader, pictures: Pictures, costs: Mapping[str, float]
) -> None:
    """Fill every view of a target with what stands beside its mean. costs: seconds of source models
    (`learning.source_costs`)."""
    metric = HEADLINES[METRICS[target.views[0].cell.metric].task] if target.views else "accuracy"
    read = _histories(f"{target.views[0].cell.tested_on if target.views else target.name}/test/{metric}")
    lines: list[tuple[View, str, list]] = []
    for view in target.views:
        cell, seen = view.cell, view.cell.evidence
        view.seeds = seeds(view)
        view.learning = learning.compare_curves(cell, alpha, costs)
        view.flips = flips.count_flips(cell, alpha, reader)
        if seen.has_classes:
            view.forgetting = forgetting.measure(cell, alpha)
            view.calibration = calibration_change.measure(cell, alpha, reader)
            view.pictures = pictures.of_items_lost(cell, view.flips)
            view.texts = pictures.texts_of_items_lost(cell, view.flips)
        elif seen.errors is not None:
            view.residuals = residuals.panel(measured_residuals(cell))
            view.shown = shown_metrics(cell)
        view.notes = notes(cell) + dropped(view, reader)
        view.without_collapse = method.without_collapse(cell)
        arms = {"strategy": seen.strategy_runs, "baseline": seen.baseline_runs}
        view.runs = [(getattr(cell, arm), [Path(run).name for run in runs]) for arm, runs in arms.items()]
        found = {arm: figures.curve([read(run) for run in runs]) for arm, runs in arms.items()}
        if any(found.values()):
            view.curves = {"spoken": _spoken(view, found, metric), "lines": found, **dict.fromkeys(arms)}
            lines += [(view, arm, line) for arm, line in found.items() if line]
    if lines:
        target.curve_steps, target.curve_scores = figures.curve_axes(line for _, _, line in lines)
    for view, arm, line in lines:
        view.curves[arm] = figures.curve_shape(target.curve_steps, target.curve_scores, line)
    if shares := [
        share
        for view in target.views
        if view.flips
        for share in (view.flips.lost.value, view.flips.won.value, view.flips.hidden)
    ]:
        reach = max(*shares, 0.01)
        target.flip_axis = figures.Axis(-reach, reach, figures.round_ticks(-reach, reach))


def add_parts(targets: Sequence[Target], alpha: float, reader: PredictionReader) -> None:
    """Fill every view of the page with Δ per class and subgroup, one family together."""
    views = [view for target in targets for view in target.views]
    for view, found in zip(
        views, parts.judge_parts([view.cell for view in views], alpha, reader), strict=True
    ):
        view.classes = shown_parts(found.classes)
        if view.cell.evidence.tags and len(view.cell.evidence.seeds) > 1 and not view.classes:
            why = "a run has dropped its outputs, or has none that is finite"
            view.notes.append(f"what is won or lost of each label is not told: {why}")
        has_classes = bool(view.classes) and view.cell.evidence.has_classes
        view.class_scores = class_scores(view.cell, reader) if has_classes else []
        view.subgroups = {column: shown_parts(some) for column, some in found.subgroups.items()}
    for target in targets:
        _deepen([view.classes for view in target.views if view.classes])
        for column in {column for view in target.views for column in view.subgroups}:
            _deepen([view.subgroups[column] for view in target.views if column in view.subgroups])


def notes(cell: Cell) -> list[str]:
    """Half-verdicts and flags, in words."""
    said = []
    if cell.verdict in ("positive", "negative"):
        said.append(
            "beyond the margin" if cell.material else "a difference; that it exceeds the margin is not shown"
        )
    elif cell.verdict == "undecided" and cell.no_harm:
        said.append("no harm: not worse by the margin or more")
    elif cell.verdict == "undecided" and cell.no_gain:
        said.append("no gain: not better by the margin or more")
    return [*said, *(str(flag) for flag in cell.flags)]


NOT_JUDGED = {"r2": "R²", "median_absolute_error": "median absolute error"}


def shown_metrics(cell: Cell) -> list[tuple[str, str]]:
    """(name, "baseline 0.41, strategy 0.52") of the last evaluation, means over runs, errors not clipped."""
    seen, found = cell.evidence, []
    for key, name in NOT_JUDGED.items():
        said = []
        for arm, runs in ((cell.baseline, seen.baseline_runs), (cell.strategy, seen.strategy_runs)):
            results = [(seen.records[run].get("result") or {}).get("metrics", {}) for run in runs]
            values = [of_run.get(f"{cell.tested_on}/test/{key}") for of_run in results]
            known = [value for value in values if value is not None]
            if known and len(known) == len(values):
                said.append(f"{arm} {formatting.score(sum(known) / len(known), cell.metric)}")
        found += [(name, ", ".join(said))] if said else []
    return found


def dropped(view: View, reader: PredictionReader) -> list[str]:
    """What is not told of runs that have not kept the outputs of the evaluation that is taken."""
    seen = view.cell.evidence
    if seen.errors is not None:
        why = "a run has dropped its outputs, or has none that is finite"
        return [] if view.residuals else [f"where predictions miss is not told: {why}"]
    if not seen.has_classes:  # told where they are read, by `add_parts`
        return []
    runs = [*reader.arm(view.cell, seen.strategy_runs), *reader.arm(view.cell, seen.baseline_runs)]
    count = sum(not run.is_known for run in runs)
    said = f"{count} of {len(runs)} runs have dropped the outputs of the evaluation taken (outputs=...)"
    untold = "calibration error, precision and F1 of each class, and what wrong answers were, are not told"
    return [f"{said}: {untold}"] if count else []


def seeds(view: View) -> dict:
    """Scores of both arms, a row a seed."""
    seen = view.cell.evidence
    arms = [
        effect.group_means(scores, seen.groups).mean(axis=1).tolist()
        for scores in (seen.strategy_scores, seen.held_against)
    ]
    return figures.seed_pairs(seen.seeds, *arms)


def shown_parts(found: Sequence[parts.Part]) -> dict | None:
    """Rows and axis of Δ per class or subgroup; None with a single seed."""
    if not found:
        return None
    axis = figures.difference_axis([part.delta for part in found], [part.ci for part in found], 0.0)
    rows = [{**asdict(part), "bar": figures.bar(axis, part.ci)} for part in found]
    return {
        "rows": rows,
        "by_name": {row["name"]: row for row in rows},
        "axis": axis,
        "worst": parts.worst(found),
        "family": found[0].family,
    }


def _deepen(tables: Sequence[dict]) -> None:
    """size of each row: |Δ| as a share of the largest that is shown beside it, for the depth of its
    colour."""
    rows = [row for table in tables for row in table["rows"]]
    largest = max((abs(row["delta"]) for row in rows), default=0.0) or 1.0
    for row in rows:
        row["size"] = round(abs(row["delta"]) / largest, 3)


def _histories(column: str) -> Callable[[Path | str], list[tuple[float, float]]]:
    """A reader of (step, value) that opens each run once: baselines are shared by many cells."""
    known: dict[str, list] = {}

    def read(run: Path | str) -> list[tuple[float, float]]:
        if str(run) not in known:
            try:
                rows = record.read_history(Path(run))
            except (
                OSError,
                ValueError,
                RequestError,
            ):  # a run without a history (closed form, old store) has no curve
                rows = []
            known[str(run)] = [(row["step"], row[column]) for row in rows if "step" in row and column in row]
        return known[str(run)]

    return read


def _spoken(view: View, found: dict[str, Sequence], metric: str) -> str:
    ends = [
        f"{getattr(view.cell, arm)} ends at {formatting.score(line[-1][1], metric)}"
        for arm, line in found.items()
        if line
    ]
    return "; ".join(ends)
