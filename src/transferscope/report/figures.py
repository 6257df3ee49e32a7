"""Where everything goes in the figures: pure functions from plain numbers to positions, drawn by
figures.html.j2.

Horizontal positions are percentages of the figure's width, so that text keeps its size on any screen; heights
are pixels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Interval = tuple[float, float] | None
GUTTER = 16.0  # percent of a panel's width left to the labels of its vertical axis


@dataclass(frozen=True)
class Axis:
    """A linear scale from `lo` to `hi`, both included, with round ticks inside."""

    lo: float
    hi: float
    ticks: tuple[float, ...]

    def percent(self, value: float) -> float:
        span = self.hi - self.lo or 1.0  # of one value alone
        return round(100 * (min(max(value, self.lo), self.hi) - self.lo) / span, 2)

    def height(self, value: float, pixels: float) -> float:
        """Distance from the top of a figure `pixels` high."""
        return round(pixels * (1 - self.percent(value) / 100), 2)

    def beyond(self, bounds: Interval) -> tuple[bool, bool]:
        """Whether an interval leaves the axis on the left, on the right."""
        return (False, False) if bounds is None else (bounds[0] < self.lo, bounds[1] > self.hi)


def round_ticks(lo: float, hi: float, about: int = 5) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 × 10^k inside [lo, hi], about so many."""
    if lo == hi:
        return (lo,)
    raw = (hi - lo) / max(about, 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
    return tuple(round(k * step, 10) for k in range(first, last + 1))


def difference_axis(
    deltas: Iterable[float], intervals: Iterable[Interval], margin: float, about: int = 5
) -> Axis:
    """Holds zero, the margin and every difference. An interval far wider than the rest is cut (with an
    arrow): it would flatten them."""
    deltas = list(deltas)
    pairs = [(d, i) for d, i in zip(deltas, intervals, strict=True) if i is not None]
    widths = sorted(hi - lo for _, (lo, hi) in pairs)
    reach = 1.5 * widths[len(widths) // 2] if widths else 0.0
    lows = [max(lo, d - reach) for d, (lo, _) in pairs]
    highs = [min(hi, d + reach) for d, (_, hi) in pairs]
    lo, hi = min([0.0, -margin, *deltas, *lows]), max([0.0, margin, *deltas, *highs])
    room = 0.06 * (hi - lo) or 0.05
    lo, hi = lo - room, hi + room
    return Axis(lo, hi, round_ticks(lo, hi, about))


def bar(axis: Axis, bounds: Interval) -> dict | None:
    """An interval as {left, right} in percent, with {cut_left, cut_right} where it leaves the axis."""
    if bounds is None:
        return None
    cut_left, cut_right = axis.beyond(bounds)
    return {
        "left": axis.percent(bounds[0]),
        "right": axis.percent(bounds[1]),
        "cut_left": cut_left,
        "cut_right": cut_right,
    }


def forest_row(axis: Axis, delta: float, ci: Interval, simultaneous: Interval) -> dict:
    return {"x": axis.percent(delta), "ci": bar(axis, ci), "simultaneous": bar(axis, simultaneous)}


def budget_panel(axis: Axis, budgets: Sequence, points: dict, band: dict, pixels: float) -> dict:
    """Δ against label budget for one strategy, budgets at equal distances.

    `points`: {budget: (delta, ci)}; budgets without a point break the line. `band`: {budget: interval} that
    holds at all of them at once. Gives {points: [...], segments: [...], bands: SVG points of each unbroken
    piece in a box 100 wide and `pixels` high}."""
    placed, segments, before = [], [], None
    pieces: list[tuple[list[str], list[str]]] = []  # lower and upper edge
    for k, at in enumerate(budgets):
        if at not in points:
            before = None
            continue
        delta, ci = points[at]
        point = {
            "budget": at,
            "x": round(GUTTER + (100 - GUTTER) * (k + 0.5) / len(budgets), 2),
            "y": axis.height(delta, pixels),
            "top": axis.height(ci[1], pixels) if ci else None,
            "bottom": axis.height(ci[0], pixels) if ci else None,
        }
        if before is None:
            pieces.append(([], []))
        for edge, bound in zip(pieces[-1], band.get(at) or (), strict=False):
            edge.append(f"{point['x']:g},{axis.height(bound, pixels):g}")
        if before:
            segments.append({"x1": before["x"], "y1": before["y"], "x2": point["x"], "y2": point["y"]})
        placed.append(point)
        before = point
    bands = [" ".join([*upper, *lower[::-1]]) for lower, upper in pieces if len(upper) > 1]
    return {"points": placed, "segments": segments, "bands": bands}


def curve(
    runs: Sequence[Sequence[tuple[float, float]]], most: int = 60
) -> list[tuple[float, float, float, float]]:
    """[(step, mean, lowest, highest)] over runs of (step, value), at the steps all runs share, thinned to
    about `most`."""
    tables = [dict(run) for run in runs if run]
    if not tables:
        return []
    shared = sorted(set.intersection(*(set(table) for table in tables)))
    stride = max(1, math.ceil(len(shared) / most))
    kept = sorted({*shared[::stride], *shared[-1:]})
    out = []
    for step in kept:
        values = [table[step] for table in tables]
        out.append((step, sum(values) / len(values), min(values), max(values)))
    return out


def curve_axes(curves: Iterable[list]) -> tuple[Axis, Axis]:
    """(steps, scores) axes that hold every curve."""
    points = [point for line in curves for point in line]
    last = max((p[0] for p in points), default=1.0) or 1.0
    lo, hi = min((p[2] for p in points), default=0.0), max((p[3] for p in points), default=1.0)
    room = 0.05 * (hi - lo) or 0.05
    lo, hi = max(lo - room, min(lo, 0.0)), hi + room
    return Axis(0.0, last, (0.0, last)), Axis(lo, hi, round_ticks(lo, hi, 3))


def curve_shape(steps: Axis, scores: Axis, line: list) -> dict:
    """`line` and `ribbon`: SVG points in a box of 100 × 100; one evaluation alone becomes a level."""
    if len(line) == 1:
        line = [(steps.lo, *line[0][1:]), (steps.hi, *line[0][1:])]

    def points(values: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{steps.percent(s):g},{100 - scores.percent(v):g}" for s, v in values)

    upper = [(p[0], p[3]) for p in line]
    lower = [(p[0], p[2]) for p in reversed(line)]
    return {"line": points((p[0], p[1]) for p in line), "ribbon": points([*upper, *lower])}


def seed_pairs(seeds: Sequence[int], strategy: Sequence[float], baseline: Sequence[float]) -> dict:
    """One row a seed: where baseline and strategy stand on a common axis."""
    values = [*strategy, *baseline]
    lo, hi = min(values), max(values)
    room = 0.1 * (hi - lo) or 0.01
    axis = Axis(lo - room, hi + room, round_ticks(lo - room, hi + room, 4))
    rows = [
        {"seed": seed, "strategy": axis.percent(s), "baseline": axis.percent(b), "scores": (s, b)}
        for seed, s, b in zip(seeds, strategy, baseline, strict=True)
    ]
    return {"rows": rows, "axis": axis}
