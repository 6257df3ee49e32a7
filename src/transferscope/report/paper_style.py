"""What the figures for a paper have in common: style, marks, and the words around them."""

import contextlib
import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from transferscope.comparison import formatting, wording
from transferscope.report import method
from transferscope.report.layout import Target, View
from transferscope.store.printable import printable

NARROW, WIDE = 3.3, 6.9  # inches: one column of a two-column paper, and both
SIZE, TITLE = 6.5, 8.0  # points
MARKS = {"positive": "^", "negative": "v", "equivalent": "s", "undecided": "o"}  # the last one is hollow
TONES = {"positive": "#0072b2", "negative": "#d55e00", "equivalent": "#009e73", "undecided": "#5f5f5f"}
PALE, BASE = "#dddddd", "#777777"  # margin and areas; the baseline
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "legend.frameon": False,
    "text.parse_math": False,  # a name may hold a $
    "svg.fonttype": "none",
    "svg.hashsalt": "transferscope",
    "pdf.fonttype": 42,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """matplotlib's own defaults and STYLE, whatever the user has set; afterwards as it was."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


class _Wrapper(textwrap.TextWrapper):
    """Breaks lines at a space, and after the underscores that hold names together."""

    wordsep_re = re.compile(r"( +|[^ _]*_+)")


@cache
def wrapped(text: str, inches: float, size: float = SIZE, weight: str = "normal") -> str:
    """A text, which may come from a record, in as many lines as its width needs. A number stays with what
    it counts."""
    text = str(printable(text))
    font = FontProperties(size=size, weight=weight)
    width = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72
    letters = max(4, int(0.93 * len(text) * inches / width)) if width > inches else len(text) + 1
    lines = _Wrapper(letters).wrap(re.sub(r"(?<=\d) (?=\w)", "\u00a0", text))
    return "\n".join(lines).replace("\u00a0", " ")


def mark(axes: Axes, x: float, y: float, verdict: str, size: float = 4.5, **more) -> None:
    face = "white" if verdict == "undecided" else TONES[verdict]
    shape: dict[str, Any] = {
        "marker": MARKS[verdict],
        "ms": size,
        "mec": TONES[verdict],
        "mfc": face,
        "mew": 0.9,
    }
    axes.plot([x], [y], ls="", zorder=4, clip_on=False, **shape, **more)


def title(target: Target, what: str, settings: dict) -> str:
    """What is drawn, the baseline it is held against, and the rule that selected."""
    return f"{target.name}: {what}, baseline {settings['baseline']}, selection {settings['selection']}"


def stamps(views: Sequence[View], settings: dict) -> list[str]:
    """What makes numbers no result, or a claim of another kind: it goes with every figure."""
    fixed = ["Fixed items: every claim is about this test set only."] * (settings["items"] == "fixed")
    return [*fixed, *method.stamps([view.cell for view in views])]


def holds(settings: dict) -> str:
    return wording.holds(settings, "of them")


def tick(value: float, metric: str, sign: bool = True) -> str:
    """The number at a tick, without a zero after its point."""
    return (formatting.signed if sign else formatting.score)(value, metric).removesuffix(".0")
