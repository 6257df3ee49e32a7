"""What a prediction is judged by: a name, its unit, its value for each item. numpy alone, so that comparing
needs no torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, Required

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from transferscope.errors import RequestError
from transferscope.statistics import influence, label_ranking

# log-likelihoods are judged on probabilities clipped to this and one less it: without a bound no interval
# holds
LEAST_PROBABILITY = 1e-3

# of the naive errors of a target's training items, above which errors are judged as if they were this one
CAPPED_SHARE = 0.01

PerItem = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


@dataclass(frozen=True, eq=False)
class Errors:
    """What errors of predicted numbers [n, T] are told and judged in; all of it of a domain's training items,
    so that it is one for all runs, budgets and seeds.

    quantities: names of the T numbers. unit: of all of them, or "". spread [T]: what an error is divided by
    before the mean over quantities: 1, or their standard deviations where they have no unit in common.
    median, mean [T]: theirs, by which naive predictors go. cap: the error that the median as a prediction
    exceeds on CAPPED_SHARE of the items. Larger ones are judged as this one: no interval holds for a mean of
    errors without a bound."""

    quantities: tuple[str, ...]
    unit: str
    spread: np.ndarray
    median: np.ndarray
    mean: np.ndarray
    cap: float

    @classmethod
    def of(cls, quantities: Sequence[str], unit: str, numbers: np.ndarray) -> "Errors":
        """numbers [n, T] of the training items."""
        numbers = numbers.astype(float)
        spread = np.ones(len(quantities))
        if len(quantities) > 1 and not unit:
            spread = np.where(numbers.std(0) > 0, numbers.std(0), 1.0)
        median = np.median(numbers, axis=0)
        naive = (np.abs(numbers - median) / spread).mean(1)
        cap = float(np.quantile(naive, 1 - CAPPED_SHARE)) or float(naive.max()) or 1.0
        # errors of whole numbers that just reach it are not cut off
        return cls(tuple(quantities), unit, spread, median, numbers.mean(0), cap * (1 + 1e-9))

    @property
    def display(self) -> str:
        """The unit's name, after a number."""
        return self.unit or (self.quantities[0] if len(self.quantities) == 1 else "SD")

    def members(self) -> dict[str, np.ndarray]:
        """As arrays, for a file."""
        return {
            "quantities": np.asarray(self.quantities), "unit": np.asarray(self.unit), "spread": self.spread,
            "median": self.median, "mean": self.mean, "cap": np.asarray(self.cap),
        }  # fmt: skip

    @classmethod
    def from_members(cls, members: Mapping[str, np.ndarray]) -> "Errors":
        """Raises ValueError where they are none."""
        names, unit = members["quantities"], members["unit"]
        spread, median, mean = numbers = [
            np.asarray(members[key], dtype=float) for key in ("spread", "median", "mean")
        ]
        cap = float(members["cap"])
        if names.dtype.kind != "U" or unit.dtype.kind != "U" or names.ndim != 1 or not len(names):
            raise ValueError("names of quantities and a unit are needed")
        if any(part.shape != names.shape or not np.isfinite(part).all() for part in numbers):
            raise ValueError("a finite number of each quantity is needed")
        if not (np.isfinite(cap) and cap > 0 and (numbers[0] > 0).all()):
            raise ValueError("a cap and spreads above 0 are needed")
        return cls(tuple(names.tolist()), str(unit), spread, median, mean, cap)

    def absolute(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """[n, T], [n, T] -> [n], clipped at the cap."""
        each = np.abs(predicted.astype(float) - targets.astype(float)) / self.spread
        clipped: np.ndarray = np.minimum(each.mean(1), self.cap)
        return clipped

    def squared(self, predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """[n, T], [n, T] -> [n], the mean over quantities, clipped at the square of the cap."""
        each = ((predicted.astype(float) - targets.astype(float)) / self.spread) ** 2
        clipped: np.ndarray = np.minimum(each.mean(1), self.cap**2)
        return clipped


@dataclass(frozen=True)
class ScoreRange:
    """Of scores that were made elsewhere, one an item, higher is better: the lowest and the highest that an
    item can have. is_binary: there are no others."""

    lowest: float
    highest: float
    is_binary: bool = False

    def members(self) -> dict[str, np.ndarray]:
        """As arrays, for a file."""
        return {"lowest": np.asarray(self.lowest), "highest": np.asarray(self.highest),
                "is_binary": np.asarray(self.is_binary)}  # fmt: skip

    @classmethod
    def from_members(cls, members: Mapping[str, np.ndarray]) -> "ScoreRange":
        """Raises ValueError where they are none."""
        lowest, highest = float(members["lowest"]), float(members["highest"])
        if not (np.isfinite([lowest, highest]).all() and lowest < highest):
            raise ValueError("a lowest and a higher highest score are needed")
        return cls(lowest, highest, bool(members["is_binary"]))


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
    task: whose predictions it is of; of `multi_label`, per_item is given the probability of each label [n, L]
    and which labels an item has [n, L], 0 or 1. of_errors: of a metric of predicted numbers, which has its
    unit, its bounds and `per_item` from the domain (`within`): errors, predicted [n, T], targets [n, T],
    groups -> [n].
    """

    name: str
    per_item: PerItem | None
    chance: Callable[[np.ndarray, int], float]
    kind: Literal["items", "influence", "jackknife"] = "items"
    unit: float = 1.0
    span: float = 1.0
    margin: float | None = 0.01
    cap: float | None = None
    display: str = "points"
    highest: float | None = None
    task: str = "classification"
    of_errors: Callable[[Errors, np.ndarray, np.ndarray, np.ndarray | None], np.ndarray] | None = None

    @property
    def judged(self) -> bool:
        return self.per_item is not None or self.of_errors is not None

    def within(self, errors: Errors | ScoreRange | None) -> "Metric":
        """With what a domain of predicted numbers, or of scores, tells of it; the same where there is nothing
        to tell."""
        if isinstance(errors, ScoreRange):
            span = errors.highest - errors.lowest
            unit = span if errors.is_binary else span / 2
            return replace(self, unit=unit, span=span, highest=errors.highest)
        if errors is None or self.of_errors is None:
            return self
        return replace(
            self,
            per_item=partial(self.of_errors, errors),
            unit=errors.cap / 2,
            span=errors.cap,
            cap=errors.cap,
            display=errors.display,
        )

    @property
    def is_loss(self) -> bool:
        """Whether scores are a loss with its sign flipped, the best being 0."""
        return self.display != "points" and self.task != "ranged_score"

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
    likelihood = probabilities[np.arange(len(labels)), labels].astype(float)
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


def _mae(
    errors: Errors, predicted: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    return -errors.absolute(predicted, targets)


def _rmse(
    errors: Errors, predicted: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Pseudo-values of the jackknife, n v − (n − 1) v₍₋ᵢ₎ (Tukey 1958), v the root of the mean squared error.
    Of groups, which count once each, it leaves one out at a time, and their items share its value."""
    squared = errors.squared(predicted, targets)
    place = np.arange(len(squared))
    if groups is not None:
        _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
        squared = np.bincount(place, squared) / size
    n = len(squared)
    whole, without = np.sqrt(squared.mean()), np.sqrt((squared.sum() - squared).clip(0) / max(n - 1, 1))
    pseudo_values: np.ndarray = n * whole - (n - 1) * without
    return -pseudo_values[place]


def _of_numbers(
    name: str,
    of_errors: Callable[[Errors, np.ndarray, np.ndarray, np.ndarray | None], np.ndarray] | None,
    kind: Literal["items", "jackknife"] = "items",
) -> Metric:
    return Metric(
        name,
        None,
        lambda labels, classes: 0.0,
        kind=kind,
        margin=None,
        display="the target's unit",
        task="regression",
        of_errors=of_errors,
    )


def _given(scores: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Scores [n, 1] -> [n]: what was made elsewhere is taken as it is."""
    found: np.ndarray = scores[:, 0].astype(float)
    return found


def has_labels(probabilities: np.ndarray) -> np.ndarray:
    """[n, L] -> bool [n, L]: the labels that are predicted of each item, those of more than one half."""
    found: np.ndarray = probabilities > 0.5
    return found


def _item_f1(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """2 |Y ∩ Ŷ| / (|Y| + |Ŷ|), 1 where both are empty."""
    said, true = has_labels(probabilities), targets == 1
    size = said.sum(1) + true.sum(1)
    return np.where(size > 0, 2 * (said & true).sum(1) / np.maximum(size, 1), 1.0)


def _item_f1_of_coins(targets: np.ndarray, classes: int) -> float:
    """What is to be expected where each label is predicted with probability one half."""
    labels, sizes = targets.shape[1], targets.sum(1).astype(int)
    expected = {}
    for size in set(sizes.tolist()):
        right, wrong = np.arange(size + 1)[:, None], np.arange(labels - size + 1)
        f1 = 2 * right / np.maximum(size + right + wrong, 1)
        f1[size + right + wrong == 0] = 1.0
        expected[size] = _coins(size) @ f1 @ _coins(labels - size)
    return float(np.mean([expected[size] for size in sizes.tolist()]))


def _coins(n: int) -> np.ndarray:
    """Probability of 0 … n heads of n coins."""
    log_ways = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    found: np.ndarray = np.exp(np.array(log_ways) - n * math.log(2))
    return found


def _ranked(
    ranking: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray],
) -> PerItem:
    def per_item(
        probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None
    ) -> np.ndarray:
        return ranking(probabilities, targets == 1, groups)

    return per_item


def _prevalence(targets: np.ndarray, classes: int) -> float:
    """Of the labels that vary, the mean: the average precision of items in any order, nearly."""
    share = targets.mean(0)
    varies = (share > 0) & (share < 1)
    return float(share[varies].mean()) if varies.any() else 0.0


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
        _of_numbers("mae", _mae),
        _of_numbers("rmse", _rmse, kind="jackknife"),
        _of_numbers("r2", None),
        _of_numbers("median_absolute_error", None),
        Metric("item_f1", _of_items(_item_f1), _item_f1_of_coins, unit=0.5, task="multi_label"),
        Metric(
            "macro_auroc",
            _ranked(label_ranking.macro_auroc),
            lambda targets, classes: 0.5,
            kind="influence",
            task="multi_label",
        ),
        Metric(
            "map",
            _ranked(label_ranking.mean_average_precision),
            _prevalence,
            kind="jackknife",
            task="multi_label",
        ),
        Metric("score", _given, lambda targets, classes: 0.0, task="score"),
        Metric(
            "ranged_score",
            _given,
            lambda targets, classes: 0.0,
            span=math.inf,
            margin=None,
            display="score",
            task="ranged_score",
        ),  # fmt: skip
    )
}


# the metric that runs of a task are judged by where none is named
HEADLINES = {
    "classification": "accuracy",
    "regression": "mae",
    "multi_label": "item_f1",
    "score": "score",  # made elsewhere, between 0 and 1
    "ranged_score": "ranged_score",  # made elsewhere, in another range
}


def headline_of(result: Mapping[str, Any]) -> Metric:
    """Of the task of a record's `result`: in its metrics and its history as `{domain}/{split}/NAME`."""
    return METRICS[HEADLINES.get(str((result.get("task") or {}).get("name")), "accuracy")]


def headline_score(result: Mapping[str, Any], items: str) -> float | None:
    """Of a record's `result` on {domain}/{split}, higher is better; None where it has none."""
    metric = headline_of(result)
    value = result.get("metrics", {}).get(f"{items}/{metric.name}")
    return None if value is None else float(-value if metric.is_loss else value)


def judged_metrics(task: str | None = None) -> tuple[str, ...]:
    """Their names, of one task or of all."""
    return tuple(name for name, metric in METRICS.items() if metric.judged and task in (None, metric.task))


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
