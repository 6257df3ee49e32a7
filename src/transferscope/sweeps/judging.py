"""The keys that sweeps share which judge their own cells on the way (--until-decided, --settle)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from transferscope.comparison import baselines
from transferscope.comparison.margins import Margin
from transferscope.errors import RequestError, nearest
from transferscope.sweeps.planned_arms import own_words
from transferscope.tasks.metrics import judged_metrics

SELECTION = "last"


@dataclass(frozen=True)
class Rules:
    """What such a sweep judges its cells by: keys of its section of the config."""

    baseline: str
    metric: str
    margin: Margin
    alpha: float


def rules(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Rules`. Raises RequestError."""
    metric, alpha = values["metric"], values["alpha"]
    allowed = judged_metrics()
    if metric not in allowed:
        raise RequestError(
            f"{section}.metric={metric}: not one of {', '.join(allowed)}{nearest(metric, allowed)}"
        )
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise RequestError(f"{section}.alpha={alpha}: between 0 and 1 is needed")
    with own_words(section):
        baselines.parse(str(values["baseline"]))
        return {
            "baseline": str(values["baseline"]),
            "metric": metric,
            "margin": Margin.parse(values["margin"], metric),
            "alpha": float(alpha),
        }


def increasing(key: str, numbers: object, what: str, example: str) -> tuple[int, ...]:
    """Whole numbers of at least 2. Raises RequestError."""
    if (
        not isinstance(numbers, list)
        or not numbers
        or not all(type(number) is int and number >= 2 for number in numbers)
    ):
        raise RequestError(f"{key}={numbers}: {what}, each at least 2, are needed, such as {example}")
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise RequestError(f"{key}={numbers}: each must be larger than the one before, such as {example}")
    return tuple(numbers)


def check_given_once(section: str, points: Iterable[list[str]], example: str) -> None:
    """Raises RequestError where a key of the section has several values over the points of a sweep."""
    given = {word for point in points for word in point if word.startswith(f"{section}.")}
    for key, number in Counter(word.partition("=")[0] for word in given).items():
        if number > 1:
            raise RequestError(
                f"{key}: one value holds for the whole sweep, {number} are given; a list is written {example}"
            )
