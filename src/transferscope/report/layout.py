"""From cells to what the page shows: targets, their sources, a line a strategy, a view a cell."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from transferscope.comparison import formatting
from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.calibration_change import Calibration
from transferscope.comparison.evidence.class_scores import ClassScores
from transferscope.comparison.evidence.flips import Flips
from transferscope.comparison.evidence.forgetting import Forgetting
from transferscope.comparison.evidence.learning import Learning
from transferscope.report import figures, words
from transferscope.report.residuals import Panel

# what can tell two cells of one strategy apart, beside source, target and budget
_CHOICES = ("backbone", "initialisation", "protocol", "baseline", "metric", "selection")
PLACE = ("target", "source", "strategy", "label_budget")
KEYS = (*PLACE, "variant", *_CHOICES)


@dataclass
class View:
    """One cell, ready to draw; `place` holds its positions on the target's axis, shrunken its Δ drawn towards
    those of its family (None where it is alone); the rest is filled by cards.py."""

    cell: Cell
    id: str
    label: str
    spoken: str
    shrunken: float | None = None
    size: float = 0.0  # |delta| as a share of the target's largest, for the depth of its colour
    place: dict = field(default_factory=dict)
    seeds: dict | None = None
    classes: dict | None = None
    class_scores: list[ClassScores] = field(default_factory=list)
    subgroups: dict[str, dict] = field(default_factory=dict)
    flips: Flips | None = None
    pictures: dict[str, str] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    learning: Learning | None = None
    forgetting: list[Forgetting] = field(default_factory=list)
    calibration: Calibration | None = None
    residuals: Panel | None = None
    shown: list[tuple[str, str]] = field(default_factory=list)  # what is told of both arms and not judged
    curves: dict | None = None
    runs: list | None = None
    notes: list[str] = field(default_factory=list)
    without_collapse: str = ""


@dataclass
class Line:
    """One strategy of one source: its views by label budget, and a word for the cells that never came."""

    label: str
    views: dict[object, View]
    absent: dict[object, str]
    panel: dict = field(default_factory=dict)
    crossings: list[str] = field(default_factory=list)


@dataclass
class Source:
    name: str | None
    lines: list[Line]

    @property
    def views(self) -> list[View]:
        return [view for line in self.lines for view in line.views.values()]

    @property
    def columns(self) -> list[str]:
        """Metadata columns by which its cells have subgroups."""
        return sorted({column for view in self.views for column in view.subgroups})

    @property
    def budgets(self) -> list:
        return sorted({budget for line in self.lines for budget in line.views}, key=budget_order)


@dataclass(kw_only=True)
class Ground:
    """Of a figure of differences: its axis, and the margin on it."""

    axis: figures.Axis
    margin_value: float

    @property
    def zero(self) -> float:
        return self.axis.percent(0.0)

    @property
    def margin(self) -> tuple[float, float]:
        return self.axis.percent(-self.margin_value), self.axis.percent(self.margin_value)


@dataclass
class Target(Ground):
    name: str
    budgets: list
    sources: list[Source]
    budget_axis: figures.Axis
    curve_steps: figures.Axis | None = None
    curve_scores: figures.Axis | None = None
    flip_axis: figures.Axis | None = None

    @property
    def views(self) -> list[View]:
        return [view for source in self.sources for view in source.views]


def budget_order(budget: object) -> tuple:
    """0, 1, 2, …, full, then cells that take no label."""
    return (2, 0) if budget is None else (1, 0) if budget == "full" else (0, int(budget))


def line_label(place: dict, varying: dict[str, list[str]]) -> str:
    """The strategy, with the choices that differ between its cells and its variant."""
    extra = [str(place[key]) for key in varying.get(place["strategy"], ()) if place[key] is not None]
    return " · ".join([place["strategy"], *extra, *filter(None, [place["variant"]])])


def short_variants(variants: Iterable[str]) -> dict[str, str]:
    """Each variant with its keys cut to their last part, where that stays clear: `trainer.optimizer.lr=0.01`
    -> `lr=0.01`."""
    parts = {
        variant: [part.partition("=") for part in variant.split(", ")] for variant in variants if variant
    }
    keys = {key for found in parts.values() for key, _, _ in found}
    last = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: key.rpartition(".")[2] if last[key.rpartition(".")[2]] == 1 else key for key in keys}
    texts = {
        variant: ", ".join(f"{short[key]}{equals}{value}" for key, equals, value in found)
        for variant, found in parts.items()
    }
    return {
        variant: text.replace("source_label_noise=1.0", "shuffled source") for variant, text in texts.items()
    }


def source_name(source: str | None, is_stated: bool = True) -> str:
    """is_stated: as `words.budget` has it."""
    if source:
        return f"from {source}"
    return "without a source domain" if is_stated else "source not stated"


def place_of(cell: Cell) -> str:
    """`from web, 10 labels`"""
    is_stated = not cell.evidence.is_imported
    return f"{source_name(cell.source, is_stated)}, {words.budget(cell.label_budget, is_stated)}"


def build(cells: Sequence[Cell], absent: Sequence[tuple[dict, str]]) -> list[Target]:
    """Cells of a comparison and (place, word) of cells that never came -> the targets of the page, in a
    steady order."""
    varying = {
        strategy: _varying([cell for cell in cells if cell.strategy == strategy])
        for strategy in {cell.strategy for cell in cells}
    }
    short = short_variants(cell.variant for cell in cells)
    views: dict[str, dict] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for number, cell in enumerate(cells, start=1):
        place = {key: getattr(cell, key) for key in KEYS}
        label = line_label(place | {"variant": short.get(cell.variant)}, varying)
        views[cell.target][cell.source][label][cell.label_budget] = View(
            cell, f"cell-{number}", label, _spoken(cell, label)
        )
    taken = {tuple(getattr(cell, key) for key in PLACE) for cell in cells}
    baselines = {cell.baseline for cell in cells}
    gone: dict[str, dict] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for place, word in absent:
        if tuple(place[key] for key in PLACE) not in taken and place["strategy"] not in baselines:
            label = line_label(place, varying)
            gone[place["target"]][place["source"]][label][place["label_budget"]] = word
    return [_target(name, views[name], gone[name]) for name in sorted(views)]


def _varying(cells: Sequence[Cell]) -> list[str]:
    return [key for key in _CHOICES if len({getattr(cell, key) for cell in cells}) > 1]


def _spoken(cell: Cell, label: str) -> str:
    where = f"{label} {place_of(cell)}"
    return (
        f"{where}: {cell.verdict}, {formatting.signed(cell.delta, cell.metric)} "
        f"{cell.unit}, "
        f"simultaneous interval {formatting.interval(cell.ci_simultaneous, cell.metric) or 'none'}"
    )


def _target(name: str, found: dict, gone: dict) -> Target:
    sources = []
    for source in sorted({*found, *gone}, key=lambda s: (s is None, s or "")):
        labels = sorted({*found[source], *gone[source]})
        lines = []
        for label in labels:
            here = {b: found[source][label][b] for b in sorted(found[source][label], key=budget_order)}
            lines.append(Line(label, here, {b: w for b, w in gone[source][label].items() if b not in here}))
        sources.append(Source(source, lines))
    budgets = sorted(
        {b for s in sources for line in s.lines for b in (*line.views, *line.absent)}, key=budget_order
    )
    views = [view for source in sources for view in source.views]
    deltas = [view.cell.delta for view in views]
    margins = {view.cell.margin for view in views}
    # a share of the risk is another margin for every baseline: no band
    margin = margins.pop() if len(margins) == 1 else 0.0
    axis = figures.difference_axis(deltas, [view.cell.ci_simultaneous for view in views], margin, about=7)
    budget_axis = figures.difference_axis(deltas, [view.cell.ci for view in views], margin)
    largest = max(map(abs, deltas), default=0.0) or 1.0
    for view in views:
        view.place = figures.forest_row(axis, view.cell.delta, view.cell.ci, view.cell.ci_simultaneous)
        view.size = round(abs(view.cell.delta) / largest, 3)
    return Target(name, budgets, sources, budget_axis, axis=axis, margin_value=margin)
