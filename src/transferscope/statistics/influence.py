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
VALUES_AT_ONCE = 2**17  # of a table of items and classes: a megabyte


class Undefined(Exception):
    """The metric has no value on these items."""


def values(
    probabilities: np.ndarray, labels: np.ndarray, metric: str, groups: np.ndarray | None = None
) -> np.ndarray:
    """Class probabilities [n, C], labels [n] -> ψ [n]. With groups [n] the mean of the group means is the
    metric. Raises Undefined."""
    return of_groups(_FORMULAS[metric](probabilities, labels), groups)


def of_groups(psi: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """ψ [n] of the items by themselves -> such that the mean of the group means is the metric."""
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
    _, named, classes = _places(probabilities, labels)
    return int(np.bincount(named, minlength=classes + 1)[:classes].min())


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
    true, named, classes = _places(probabilities, labels)
    share = _shares(true, classes)
    recall = _shares(true[true == named], classes, len(true)) / share
    return _of_pairs(
        true,
        named,
        classes,
        lambda truth, predicted: (
            recall + truth * ((truth * predicted).sum(1, keepdims=True) - recall) / share
        ),
    )


def _macro_f1(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ψ = mean_c [ F_c + (2·1[y = c, p = c] − F_c (1[y = c] + 1[p = c])) / (mean 1[y = c] + mean 1[p = c])
    ]."""
    true, named, classes = _places(probabilities, labels)
    size = _shares(true, classes) + _shares(named, classes)
    f = 2 * _shares(true[true == named], classes, len(true)) / size
    return _of_pairs(
        true,
        named,
        classes,
        lambda truth, predicted: f + (2 * truth * predicted - f * (truth + predicted)) / size,
    )


def _macro_precision(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ψ = mean_c [ P_c + 1[p = c] (1[y = c] − P_c) / (mean 1[p = c]) ], P_c the precision, a ratio of means;
    of a class that is never named P_c and its part of every ψ are 0."""
    true, named, classes = _places(probabilities, labels)
    share = np.maximum(_shares(named, classes), 1 / len(labels))
    precision = _shares(true[true == named], classes, len(true)) / share
    return _of_pairs(
        true,
        named,
        classes,
        lambda truth, predicted: precision + predicted * (truth - precision) / share,
    )


def _places(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(true [n], named [n], K): the places of an item's label and of the class that is named among the K
    classes that have an item; K where the class that is named has none."""
    present, true = np.unique(labels, return_inverse=True)
    predicted = probabilities.argmax(1)
    named = np.minimum(np.searchsorted(present, predicted), len(present) - 1)
    return true, np.where(present[named] == predicted, named, len(present)), len(present)


def _shares(places: np.ndarray, classes: int, n: int | None = None) -> np.ndarray:
    """[K]: of n items (all that have a place, unless told) those at each place."""
    found: np.ndarray = np.bincount(places, minlength=classes + 1)[:classes] / (n or len(places))
    return found


def _of_pairs(
    true: np.ndarray,
    named: np.ndarray,
    classes: int,
    formula: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """ψ [n] by a formula of one-hot labels and predictions [pairs, K] -> [pairs, K], of which the mean over
    the classes is taken. All items of one label that are named alike have the same ψ: it is made once."""
    pairs, place = np.unique(true * (classes + 1) + named, return_inverse=True)
    at, found = np.arange(classes), np.empty(len(pairs))
    step = max(1, VALUES_AT_ONCE // classes)
    for first in range(0, len(pairs), step):
        truth, predicted = (
            (part[:, None] == at).astype(float)
            for part in np.divmod(pairs[first : first + step], classes + 1)
        )
        found[first : first + step] = formula(truth, predicted).mean(1)
    psi: np.ndarray = found[place]
    return psi


def _auroc(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Two classes: the one sorted last is positive. More: one against the rest, the mean over classes."""
    present = np.unique(labels)
    if len(present) < 2:
        raise Undefined("auroc: all test items are of one class")
    positives = [1] if probabilities.shape[1] == 2 else present
    psi: np.ndarray = np.mean(
        [one_auroc(probabilities[:, c].astype(float), labels == c) for c in positives], axis=0
    )
    return psi


def one_auroc(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Scores [n], positive [n] (bool), both kinds among them: ψ = AUC + (V − AUC) / π; V, the placement
    value, is the share of the other class on the right side of the item, ties counting half."""
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


_FORMULAS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "macro_f1": _macro_f1,
    "balanced_accuracy": _balanced_accuracy,
    "macro_precision": _macro_precision,
    "auroc": _auroc,
}
