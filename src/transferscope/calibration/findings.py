"""What a study finds, how large a study is, and the bars that its findings are held to."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import track
from scipy.stats import binom

ALPHA = 0.05
MARGIN = 0.01
# Holm's first step in families of 1, 12, 36
LEVELS = {"alpha": ALPHA, "alpha/12": ALPHA / 12, "alpha/36": ALPHA / 36}


@dataclass(frozen=True)
class Size:
    """draws: simulated experiments a point. seeds: trained runs a cell of the pool that is resampled.
    comparisons: of scratch with scratch. repeats: comparisons of each shift of known sign."""

    draws: int
    seeds: int
    comparisons: int
    repeats: int


FULL = Size(draws=10_000, seeds=100, comparisons=200, repeats=5)
QUICK = Size(draws=1_000, seeds=30, comparisons=10, repeats=2)


@dataclass(frozen=True)
class Finding:
    """One line: what was promised (`nominal`), what came out (`measured`, a rate of `n`, or a mean sign), and
    whether the bar is met.

    detail: further columns of the study, such as the error rates of other methods on the same draws, which
    are held to no bar.
    limit: the method is known not to hold here; the row says how far it is off.
    """

    study: str
    setting: str
    nominal: float
    measured: float
    ok: bool
    n: int
    method: str = "verdict"
    detail: dict[str, float | str] = field(default_factory=dict)
    limit: bool = False

    def to_dict(self) -> dict:
        row = {
            key: getattr(self, key)
            for key in ("study", "setting", "nominal", "measured", "ok", "method", "n")
        }
        if 0 < self.nominal < 1:  # a rate, not a sign
            row["standard_error"] = math.sqrt(self.measured * (1 - self.measured) / self.n)
        return row | ({"limit": True} if self.limit else {}) | self.detail


def most_errors(nominal: float, draws: int) -> float:
    """The bar of an error rate: 1.25 × nominal and three Monte-Carlo standard errors."""
    return 1.25 * nominal + 3 * math.sqrt(nominal * (1 - nominal) / draws)


def at_levels(
    study: str, setting: str, errors: Sequence[float], draws: int, method: str,
    detail: Sequence[dict] = ({},) * 3, *, nominal: float = 1.0, limit: bool = False,
) -> Iterator[Finding]:  # fmt: skip
    """One finding a level of `LEVELS`, its count of `errors` among `draws` held to the bar. nominal: in parts
    of the level."""
    for place, (level, alpha) in enumerate(LEVELS.items()):
        rate, bar = float(errors[place]) / draws, most_errors(nominal * alpha, draws)
        yield Finding(
            study,
            f"{setting} {level}",
            nominal * alpha,
            rate,
            rate <= bar,
            draws,
            method,
            {"bar": bar} | detail[place],
            limit,
        )


def most_alarms(comparisons: int, alpha: float = ALPHA) -> int:
    """False alarms that an exact method stays at or below with probability 0.975: 16 of 200 at 0.05."""
    return int(binom.ppf(0.975, comparisons, alpha))


def watched(items: Iterable, what: str, total: int | None = None) -> Iterator:
    """The items, with what runs, how far it is and the time left on stderr."""
    return track(items, what, total=total, console=Console(stderr=True))
