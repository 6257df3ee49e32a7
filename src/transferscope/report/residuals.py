"""Where predicted numbers miss: residuals against the true values, both arms on one pair of axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferscope.comparison.evidence.residuals import Residuals
from transferscope.report import figures

MOST = 200  # items that are drawn, the same of both arms
BINS = 8  # of equally many items, whose mean the line is
HEIGHT = 130


@dataclass(frozen=True)
class Panel:
    """points: SVG path of dots in a box of 100 × 100, by arm; line: points of the mean residual along the
    true values, likewise."""

    x: figures.Axis
    y: figures.Axis
    quantity: str
    points: dict[str, str]
    lines: dict[str, str]


def panel(found: Residuals | None) -> Panel | None:
    if found is None:
        return None
    arms = {"baseline": found.baseline, "strategy": found.strategy}
    there = {name: values for name, values in arms.items() if values is not None}
    low, high = float(found.truth.min()), float(found.truth.max())
    reach = float(np.quantile(np.abs(np.concatenate(list(there.values()))), 0.98)) or 1.0
    x = figures.Axis(low, high, figures.round_ticks(low, high, 4) if low < high else (low,))
    y = figures.Axis(-1.1 * reach, 1.1 * reach, figures.round_ticks(-1.1 * reach, 1.1 * reach, 4))
    drawn = np.random.default_rng(0).permutation(len(found.truth))[:MOST]
    return Panel(
        x,
        y,
        found.quantity,
        {name: _dots(x, y, found.truth[drawn], values[drawn]) for name, values in there.items()},
        {name: _line(x, y, found.truth, values) for name, values in there.items()},
    )


def _dots(x: figures.Axis, y: figures.Axis, truth: np.ndarray, values: np.ndarray) -> str:
    """Strokes of no length with round ends."""
    return "".join(f"M{x.percent(t):g} {100 - y.percent(v):g}h0" for t, v in zip(truth, values, strict=True))


def _line(x: figures.Axis, y: figures.Axis, truth: np.ndarray, values: np.ndarray) -> str:
    parts: Sequence[np.ndarray] = np.array_split(np.argsort(truth, kind="stable"), min(BINS, len(truth)))
    means = dict(sorted((float(truth[part].mean()), float(values[part].mean())) for part in parts))
    return " ".join(f"{x.percent(t):g},{100 - y.percent(v):g}" for t, v in means.items())
