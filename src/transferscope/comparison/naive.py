"""The naive predictor: one answer for every test item, from the classes of the labelled training items alone. It needs no run."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np

from transferscope.comparison import scores
from transferscope.comparison.scores import NotSelectable
from transferscope.shapes import printable
from transferscope.statistics import influence

NAME = "naive"


def class_counts(record: dict, classes: np.ndarray) -> list[int]:
    """Labelled items [C] that a run may learn from: the target's within its budget; where it sees none, the source's.

    Only their ratios count: k labels a class are one of each. Raises NotSelectable.
    """
    budget, sees = record["cell"]["label_budget"], record["sees"]
    if "target_labels" in sees and budget not in (None, 0):
        domain = "target"
    elif "source_labels" in sees:
        domain = "source"
    else:
        raise NotSelectable(f"{NAME}: no label reaches the run, so there are no class shares")
    if domain == "target" and budget != "full":
        return [1] * len(classes)
    counts = (record["result"].get("class_counts") or {}).get(domain)
    if counts is None:
        raise NotSelectable(f"{NAME}: not told: the record does not say the class shares (made by an earlier version)")
    names = [printable(str(name)) for name in classes]
    if counts.keys() != set(names):
        raise NotSelectable(f"{NAME}: the {domain}'s classes are not those of the test items, of which its class shares say nothing")
    if min(counts.values()) < 0 or not any(counts.values()):
        raise NotSelectable(f"{NAME}: the record's class counts are no counts of items")
    return [counts[name] for name in names]


def item_scores(counts: list[list[int]], fold: np.ndarray, labels: np.ndarray, metric: str, groups: np.ndarray | None = None) -> np.ndarray:
    """Class counts [C] of each fold, fold and label of each item [n] -> expected scores [n], as `scores.item_scores` has those of a run.

    Metrics of the probabilities take the class shares; the others the most frequent class, the mean over all where several are. AUROC is 1/2.
    """
    if metric == "auroc":
        return np.full(len(labels), 0.5)
    if metric in ("nll", "brier"):
        shares = np.array([[count / sum(of_fold) for count in of_fold] for of_fold in counts])
        return scores.item_scores(shares[fold], labels, metric)
    most = [[c for c, count in enumerate(of_fold) if count == max(of_fold)] for of_fold in counts]
    answers = [(weight, np.array(told)[fold]) for weight, told in _answers(most)]
    return sum(weight * _constant(told, labels, metric, groups) for weight, told in answers)


def _answers(most: list[list[int]]) -> Iterator[tuple[float, list[int]]]:
    """The tied classes of each fold -> (weight, the class named in each fold). One draw breaks the ties of all folds, so that folds with the same
    ties name the same class."""
    cuts = sorted({Fraction(k, len(tied)) for tied in most for k in range(len(tied) + 1)})
    for low, high in pairwise(cuts):
        yield float(high - low), [tied[int(low * len(tied))] for tied in most]


def _constant(told: np.ndarray, labels: np.ndarray, metric: str, groups: np.ndarray | None) -> np.ndarray:
    """Scores [n] of the classes told [n], of which there are few. All others stand as one, for they add nothing but to the number of classes."""
    if metric == "accuracy":
        return (told == labels).astype(float)
    named, told = np.unique(told, return_inverse=True)
    merged = np.where(np.isin(labels, named), np.searchsorted(named, labels), len(named))
    number = len(np.unique(merged)) / len(np.unique(labels))
    return influence.values(np.eye(len(named) + 1)[told], merged, metric, groups) * number
