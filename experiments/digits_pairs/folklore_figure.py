"""The figure of folklore.py: a row a strategy; Δ over the label budget, and over distance with few and with
many labels."""

from collections import defaultdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transferscope.report.paper_style import BASE, WIDE, style

BUDGETS = ["1", "2", "3", "5", "10", "20", "full"]
WIDEST = 1.0  # interval that is drawn as others are, in fractions
MANY = {"10", "20", "full"}
NAMES = {"feature_extraction": "probing", "fine_tuning": "fine-tuning"}
TONES = {
    "digits_pairs": "#0072b2", "office_caltech_imagenet": "#d55e00", "heart_disease": "#009e73",
    "backbone_rate": "#cc79a7",
}  # fmt: skip


@style()
def draw(points: list, orders: list[dict], folder: Path) -> None:
    """points: of folklore.Point; orders: rows with of, label_budget, tau and p_anywhere of the distance that
    is drawn. Leaves folklore.svg and folklore.png."""
    figure = Figure(figsize=(WIDE, 4.4), layout="constrained")
    panels = figure.subplots(2, 3, sharey="row")
    for row, (strategy, name) in zip(panels, NAMES.items(), strict=True):
        own = [point for point in points if point.strategy == strategy]
        over_budget(row[0], own)
        for axes, many in zip(row[1:], (False, True), strict=True):
            over_distance(axes, [p for p in own if p.distance and (p.label_budget in MANY) == many])
            tau = next(o for o in orders if o["of"] == strategy and (str(o["label_budget"]) in MANY) == many)
            axes.set_title(f"digits: τ {tau['tau']:.2f}, p {float(tau['p_anywhere']):.2g}", loc="right")
        # intervals that are wider are cut
        deltas = [100 * point.delta for point in own]
        row[0].set_ylim(min(deltas) - 10, max(deltas) + 10)
        row[0].set_ylabel(f"Δ of {name}, points of score")
    for axes, title in zip(panels[0], ("", "1 to 5 labels\n", "10 labels and more\n"), strict=True):
        axes.set_title(title, loc="left")
    panels[1][0].set_xlabel("labels a class")
    for axes in panels[1][1:]:
        axes.set_xlabel("MMD² of the features")
    handles = [
        panels[0][0].plot([], [], "o", ms=3.5, color=tone, label=name)[0] for name, tone in TONES.items()
    ]
    hollow = panels[0][0].plot([], [], "o", ms=3.5, mfc="white", color=BASE, label="undecided or equivalent")
    figure.legend(handles=[*handles, *hollow], loc="outside lower center", ncols=5)
    for kind, options in {"svg": {"metadata": {"Date": None}}, "png": {"dpi": 200}}.items():
        figure.savefig(folder / f"folklore.{kind}", **options)


def over_budget(axes: Axes, points: list) -> None:
    """The cells of one pair joined; experiments side by side."""
    joined = defaultdict(list)
    for point in points:
        joined[point.experiment, point.pair].append(point)
    shift = {name: 0.16 * (place - 1.5) for place, name in enumerate(TONES)}
    for place, ((experiment, _), some) in enumerate(sorted(joined.items())):
        some = sorted(some, key=lambda point: BUDGETS.index(point.label_budget))
        at = [
            BUDGETS.index(point.label_budget) + shift[experiment] + 0.004 * (place % 40 - 20)
            for point in some
        ]
        axes.plot(at, [100 * p.delta for p in some], color=TONES[experiment], lw=0.3, alpha=0.4, zorder=2)
        for x, point in zip(at, some, strict=True):
            mark(axes, x, point)
    axes.axhline(0, color=BASE, lw=0.6, zorder=1)
    axes.set_xticks(range(len(BUDGETS)), [*BUDGETS[:-1], "all"])


def over_distance(axes: Axes, points: list) -> None:
    for point in points:
        mark(axes, float(point.distance), point)
    axes.axhline(0, color=BASE, lw=0.6, zorder=1)
    axes.set_xlim(left=0)


def mark(axes: Axes, x: float, point) -> None:
    """With the cell's own 95 % interval; filled where its verdict, within its family, is positive or
    negative."""
    tone, decided = TONES[point.experiment], point.verdict in ("positive", "negative")
    # of four font faces, those of printed digits are wider than all that there is to see
    alpha = 0.3 if point.ci_high - point.ci_low < WIDEST else 0.08
    axes.plot([x, x], [100 * point.ci_low, 100 * point.ci_high], color=tone, lw=0.5, alpha=alpha, zorder=1)
    axes.plot(
        [x], [100 * point.delta], "o", ms=2.6, mec=tone, mew=0.6, mfc=tone if decided else "white", zorder=3
    )
