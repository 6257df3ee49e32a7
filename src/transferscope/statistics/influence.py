"""Metrics that are no mean over items, written as one: each item's influence value ψ, whose mean over the
items is the metric.

ψ is the metric plus the first-order effect of that item (Hampel 1974); differences of ψ enter the same
interval as scores do. Classes without a test item are left out of every mean over classes."""

from collections.abc import Callable, Sequence

import numpy as np

METRICS = ("macro_f1", "balanced_accuracy", "macro_precision", "auroc")
# as what `effect.estimate` takes `of_one_change`
SCALES = {
    "macro_f1": "influence",
    "balanced_accuracy": "influence",
    "macro_precision": "influence",
    "auroc": "unit",
}
OF_NAMED = (
    "macro_precision",
)  # divided by the items that an arm names a class on, not by those of the class


class Undefined(Exception):
    """The metric has no value on these items."""


def values(
    probabilities: np.ndarray, labels: np.ndarray, metric: str, groups: np.ndarray | None = None
) -> np.ndarray:
    """Class probabilities [n, C], labels [n] -> ψ [n]. With groups [n] the mean of the group means is the
    metric. Raises Undefined."""
    psi: np.ndarray = _FORMULAS[metric](probabilities, labels)
    if groups is None:
        return psi
    _, place, size = np.unique(groups, return_inverse=True, return_counts=True)
    by_group: np.ndarray = psi.mean() + (psi - psi.mean()) * size[place] * len(size) / len(psi)
    return by_group


def of_one_change(labels: np.ndarray, named: Sequence[np.ndarray] = ()) -> float:
    """What changes in ψ of an item of the smallest class that comes to be wrong: 1 / (classes × share of that
    class), 1 where classes are balanced. In auroc, where an item may fall behind all others by any number of
    places: half of the largest change.

    named: of metrics `OF_NAMED`, `fewest_named` of the runs [K] of each arm. In place of the smallest class
    stands the one that is named on fewest items: the mean over the runs, of the arm where it is more. A class
    that no item is named counts as named once, for one item may give it any precision."""
    present, counts = np.unique(labels, return_counts=True)
    fewest = [np.mean(1 / np.maximum(runs, 1)) for runs in named] or [1 / counts.min()]
    return float(len(labels) / len(present) * max(fewest))


def fewest_named(probabilities: np.ndarray, labels: np.ndarray) -> int:
    """Items [n, C] that a run names the class that it names on fewest, of those among the labels [n]."""
    return int(_one_hot(probabilities.argmax(1), labels).sum(0).min())


def at_chance(labels: np.ndarray, classes: int, metric: str) -> float:
    """What guessing each of the classes equally often scores."""
    if metric == "auroc":
        return 0.5
    if metric == "balanced_accuracy":
        return 1 / classes
    if metric == "macro_precision":
        return 1 / len(np.unique(labels))
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.mean(2 * shares / classes / (shares + 1 / classes)))


def _balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ψ = mean_c [ r_c + 1[y = c] (1[p = c] − r_c) / π_c ], r_c the recall and π_c the share of class c."""
    truth = _one_hot(labels, labels)  # [n, classes with an item]
    right = (probabilities.argmax(1) == labels)[:, None]
    share = truth.mean(0)
    recall = (truth * right).mean(0) / share
    psi: np.ndarray = (recall + truth * (right - recall) / share).mean(1)
    return psi


def _macro_f1(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ψ = mean_c [ F_c + (2·1[y = c, p = c] − F_c (1[y = c] + 1[p = c])) / (mean 1[y = c] + mean 1[p = c])
    ]."""
    truth, predicted = _one_hot(labels, labels), _one_hot(probabilities.argmax(1), labels)
    size = truth.mean(0) + predicted.mean(0)
    f = 2 * (truth * predicted).mean(0) / size
    psi: np.ndarray = (f + (2 * truth * predicted - f * (truth + predicted)) / size).mean(1)
    return psi


def _macro_precision(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ψ = mean_c [ P_c + 1[p = c] (1[y = c] − P_c) / (mean 1[p = c]) ], P_c the precision, a ratio of means;
    of a class that is never named P_c and its part of every ψ are 0."""
    truth, predicted = _one_hot(labels, labels), _one_hot(probabilities.argmax(1), labels)
    share = np.maximum(predicted.mean(0), 1 / len(labels))
    precision = (truth * predicted).mean(0) / share
    psi: np.ndarray = (precision + predicted * (truth - precision) / share).mean(1)
    return psi


def _auroc(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Two classes: the one sorted last is positive. More: one against the rest, the mean over classes."""
    present = np.unique(labels)
    if len(present) < 2:
        raise Undefined("auroc: all test items are of one class")
    positives = [1] if probabilities.shape[1] == 2 else present
    psi: np.ndarray = np.mean(
        [_one_auroc(probabilities[:, c].astype(float), labels == c) for c in positives], axis=0
    )
    return psi


def _one_auroc(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """ψ = AUC + (V − AUC) / π; V, the placement value, is the share of the other class on the right side of
    the item, ties counting half."""
    placement = np.empty(len(score))
    placement[positive] = _share_below(score[positive], score[~positive])
    placement[~positive] = 1 - _share_below(score[~positive], score[positive])
    area = placement[positive].mean()
    psi: np.ndarray = area + (placement - area) / np.where(positive, positive.mean(), 1 - positive.mean())
    return psi


def _share_below(score: np.ndarray, others: np.ndarray) -> np.ndarray:
    others = np.sort(others)
    return (np.searchsorted(others, score, "left") + np.searchsorted(others, score, "right")) / (
        2 * len(others)
    )


def _one_hot(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[n, classes among the labels], 1.0 where they agree."""
    equal: np.ndarray = classes[:, None] == np.unique(labels)
    return equal.astype(float)


_FORMULAS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "macro_f1": _macro_f1,
    "balanced_accuracy": _balanced_accuracy,
    "macro_precision": _macro_precision,
    "auroc": _auroc,
}
