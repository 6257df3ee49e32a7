"""What a benchmark gives: a measured ratio beside the bar it has to reach."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """`P1 0.93 >= 0.9 ok`. sign: of what is reported without a bar, "". spread: smallest and largest of the
    rounds. note: what was measured, in a few words."""

    name: str
    value: float
    sign: str  # ">=", "<=" or ""
    limit: float | None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        return not self.sign or (self.value >= self.limit if self.sign == ">=" else self.value <= self.limit)

    @property
    def verdict(self) -> str:
        return f"{self.sign} {self.limit:<5g} {'ok' if self.holds else 'MISSED':6}" if self.sign else "no bar"

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g} {' '.join(self.verdict.split())}"


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def rounds(arms: dict[str, Callable[[], object]], number: int) -> list[dict[str, float]]:
    """Seconds of every arm in each round, arms interleaved; in every other round in the opposite order."""
    found = []
    for turn in range(number):
        order = list(arms)[:: 1 if turn % 2 == 0 else -1]
        found.append({name: seconds(arms[name]) for name in order})
    return found


def ratio(
    name: str,
    sign: str,
    limit: float | None,
    times: list[dict[str, float]],
    above: str,
    below: str,
    note: str = "",
) -> Bar:
    """Median over rounds of time(above) / time(below)."""
    ratios = [row[above] / row[below] for row in times]
    return Bar(name, statistics.median(ratios), sign, limit, (min(ratios), max(ratios)), note)
