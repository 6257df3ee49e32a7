"""Numbers as text, the same in terminal, page, Markdown and trackers. Metrics in points are told in
hundredths, others with three decimals; errors of large or small numbers with fewer or more."""

import math
from collections.abc import Sequence
from typing import TypeGuard

from transferscope.store.schema import Json
from transferscope.tasks.metrics import METRICS

NOTHING = "–"


def unit(metric: str) -> str:
    return METRICS[metric].display


def unit_in(settings: Json) -> str:
    """Of a comparison: the metric's, or where numbers are predicted that of the targets."""
    found: str = settings.get("unit") or unit(settings["metric"])
    return found


def in_points(metric: str) -> bool:
    return unit(metric) == "points"


def shown(value: float, metric: str) -> float:
    """The number in the unit that is shown, six digits."""
    return float(f"{100 * value:.6g}") if in_points(metric) else value


def score(value: float | None, metric: str) -> str:
    """`91.2` in points, `0.412` in another unit, with a true minus; a dash where there is none."""
    if not is_finite(value):
        return NOTHING
    if in_points(metric):
        return f"{100 * value:.1f}".replace("-", "−")
    decimals = 3 if METRICS[metric].of_errors is None else _decimals(abs(value))
    return f"{value:.{decimals}f}".replace("-", "−")


def _decimals(size: float) -> int:
    """So many that a number in any unit has about four digits; three, unless they are all 0."""
    if size >= 10:
        return max(0, 3 - math.floor(math.log10(size)))
    return 3 if size >= 0.0005 or size == 0 else min(1 - math.floor(math.log10(size)), 12)


def rounded(value: float, metric: str) -> str:
    """A difference in few digits, where there is little room: `+6`, `−0.71`."""
    if in_points(metric):
        return signed(round(value, 2), metric).removesuffix(".0")
    text = f"{abs(value):.2g}" if METRICS[metric].of_errors is not None else f"{abs(value):.2f}"
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def signed(value: float | None, metric: str) -> str:
    """A difference with its sign, zero without one."""
    if not is_finite(value):
        return NOTHING
    text = score(abs(value), metric)
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text


def interval(bounds: Sequence[float] | None, metric: str) -> str:
    """`[−1.2, +3.4]`; nothing where there is none."""
    if bounds is None or not all(map(is_finite, bounds)):
        return ""
    return f"[{signed(bounds[0], metric)}, {signed(bounds[1], metric)}]"


def share(value: float | None, bounds: tuple[float, float] | None) -> str:
    """`62 % [48, 79]`; nothing where there is none."""
    if value is None or bounds is None:
        return ""
    middle, low, high = (f"{100 * x:.0f}".replace("-", "−") for x in (value, *bounds))
    return f"{middle} % [{low}, {high}]"


def probability(p: float | None) -> str:
    if not is_finite(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def level(alpha: float) -> str:
    """Of an interval: `95 %`."""
    return f"{100 * (1 - alpha):g} %"


def margin(settings: Json) -> str:
    """Of a comparison: `1 point`, `0.01 nats`, or the share of the baseline's risk."""
    value, metric = settings["margin"], settings["metric"]
    if isinstance(value, str):
        return f"{100 * float(value.partition(':')[2]):g} % of the baseline's risk"
    if not in_points(metric):
        return f"{value:g} {unit_in(settings)}"
    return f"{100 * value:g} point{'' if value == 0.01 else 's'}"


def is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)
