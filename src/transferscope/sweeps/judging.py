"""The keys that sweeps share which judge their own cells on the way (--until-decided, --settle)."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from transferscope.comparison import baselines
from transferscope.comparison.margins import Margin
from transferscope.errors import Refused, nearest
from transferscope.sweeps.branches import own_words
from transferscope.tasks.metrics import JUDGED

SELECTION = "last"


def judged_by(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """baseline, metric, margin (`Margin`) and alpha of a section of the config. Raises Refused."""
    metric, alpha = values["metric"], values["alpha"]
    if metric not in JUDGED:
        raise Refused(f"{section}.metric={metric}: not one of {', '.join(JUDGED)}{nearest(metric, JUDGED)}")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise Refused(f"{section}.alpha={alpha}: between 0 and 1 is needed")
    with own_words(section):
        baselines.parse(str(values["baseline"]))
        return {"baseline": str(values["baseline"]), "metric": metric, "margin": Margin.parse(values["margin"], metric), "alpha": float(alpha)}


def check_given_once(section: str, points: Iterable[list[str]], example: str) -> None:
    """Refused where a key of the section has several values over the points of a sweep."""
    given = {word for point in points for word in point if word.startswith(f"{section}.")}
    for key, number in Counter(word.partition("=")[0] for word in given).items():
        if number > 1:
            raise Refused(f"{key}: one value holds for the whole sweep, {number} are given; a list is written {example}")
