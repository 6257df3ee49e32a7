"""What a prediction is judged by: a name, its unit, its value for each item. numpy alone, so that comparing
needs no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Required

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from transferscope.errors import RequestError
from transferscope.statistics import influence

# log-likelihoods are judged on probabilities clipped to this and one less it: without a bound no interval
# holds
LEAST_PROBABILITY = 1e-3

PerItem = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One score, fixed before any result is read.

    per_item: class probabilities [n, C], labels [n], groups [n] or None -> [n], higher is better (losses have
    their sign flipped); its mean is the metric. Of kind `items` these are the items' own scores, of kind
    `influence` influence values (statistics/influence.py), which alone need the groups. None: shown, not
    judged.
    chance: labels [n], number of classes -> the score of uniform probabilities, ties broken at random.
    unit: u of the pseudo-items: 1 for scores of 0 and 1, else half of `span`. span: the largest |difference|
    of two scores.
    margin: the smallest difference that matters, unless told. cap: losses are clipped here; None where they
    are bounded by nature.
    display: `points` (hundredths), or the unit's name after a number of three decimals.
    highest: the best score, where it is neither that of a loss nor that of a share.
    """

    name: str
    per_item: PerItem | None
    chance: Callable[[np.ndarray, int], float]
    kind: Literal["items", "influence"] = "items"
    unit: float = 1.0
    span: float = 1.0
    margin: float = 0.01
    cap: float | None = None
    display: str = "points"
    highest: float | None = None

    @property
    def judged(self) -> bool:
        return self.per_item is not None

    @property
    def is_loss(self) -> bool:
        """Whether scores are a loss with its sign flipped, the best being 0."""
        return self.display != "points"

    @property
    def best(self) -> float:
        """The highest score there is."""
        if self.highest is not None:
            return self.highest
        return 0.0 if self.is_loss else 1.0

    def clipped(self, scores: np.ndarray) -> float:
        """Share of the scores that the cap has cut off."""
        return 0.0 if self.cap is None else float(np.mean(scores <= -self.cap))


def log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[n, C], [n] -> [n], in nats, of the labels' clipped probabilities."""
    likelihood = probabilities.astype(float)[np.arange(len(labels)), labels]
    found: np.ndarray = np.log(np.clip(likelihood, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    return found


def by_class(predicted: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Precision, recall, F1 (fractions) and support (items) of each class, [C], from class indices [n], as
    scikit-learn's precision_recall_fscore_support with zero_division=0: 0 where it has none."""
    of_class = np.arange(classes)[:, None]
    true, said = labels == of_class, predicted == of_class  # [C, n]
    right, support, count = (true & said).sum(1), true.sum(1), said.sum(1)
    return {
        "precision": right / np.maximum(count, 1),
        "recall": right / np.maximum(support, 1),
        "f1": 2 * right / np.maximum(support + count, 1),
        "support": support,
    }


def _right(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    right: np.ndarray = probabilities.argmax(1) == labels
    return right.astype(float)


def _brier(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    error = probabilities.astype(float)
    error[np.arange(len(labels)), labels] -= 1.0
    squared: np.ndarray = (error**2).sum(1)
    return -squared


def _of_items(score: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> PerItem:
    def per_item(
        probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None
    ) -> np.ndarray:
        return score(probabilities, labels)

    return per_item


def _influence(name: str) -> Metric:
    return Metric(
        name,
        lambda probabilities, labels, groups: influence.values(probabilities, labels, name, groups),
        lambda labels, classes: influence.at_chance(labels, classes, name),
        kind="influence",
    )


_NATS = float(np.log((1 - LEAST_PROBABILITY) / LEAST_PROBABILITY))

METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _of_items(_right), lambda labels, classes: 1 / classes),
        *map(_influence, influence.METRICS),
        Metric(
            "nll",
            _of_items(log_likelihood),
            lambda labels, classes: -float(np.log(min(classes, 1 / LEAST_PROBABILITY))),
            unit=_NATS / 2,
            span=_NATS,
            cap=-float(np.log(LEAST_PROBABILITY)),
            display="nats",
        ),
        Metric(
            "brier", _of_items(_brier), lambda labels, classes: -(1 - 1 / classes), span=2.0, display="Brier"
        ),
        Metric("ece", None, lambda labels, classes: 0.0, display="ECE"),
    )
}


def judged_metrics() -> tuple[str, ...]:
    return tuple(name for name, metric in METRICS.items() if metric.judged)


class WrongScores(RequestError):
    """A metric of a user's own gives something else than it says: no fault of the runs."""


class OwnMetric(TypedDict, total=False):
    """What a yaml says of a metric of a user's own. span: the largest difference that two items can have;
    best: the highest score; margin: the smallest difference that matters; display: `points`, or the unit's
    name."""

    span: Required[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    best: Required[Annotated[float, Field(allow_inf_nan=False)]]
    margin: Required[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    display: str


def register(name: str, score: Callable[..., np.ndarray], given: OwnMetric) -> None:
    """Add a mean of scores of items: score(probabilities [n, C], labels [n]) -> [n], higher is better."""

    def per_item(
        probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None
    ) -> np.ndarray:
        scores = np.asarray(score(probabilities, labels), dtype=float)
        low, high = given["best"] - given["span"], given["best"]
        if scores.shape != labels.shape or not ((low <= scores) & (scores <= high)).all():
            raise WrongScores(
                f"--metric {name}: a score for each of the {len(labels)} items is needed, from {low:g} (best "
                f"less span) to {high:g}; it gives shape {scores.shape}"
                + (f", from {np.nanmin(scores):g} to {np.nanmax(scores):g}" if scores.size else "")
            )
        return scores

    METRICS[name] = Metric(
        name,
        per_item,
        lambda labels, classes: float(per_item(np.full((len(labels), classes), 1 / classes), labels).mean()),
        unit=given["span"] / 2,
        span=given["span"],
        margin=given["margin"],
        highest=given["best"],
        display=given.get("display", "points"),
    )
