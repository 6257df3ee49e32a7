"""How labels, any number of which an item may have, are ranked: each item's influence value or pseudo-value,
whose mean over the items is the metric. A label that all items have, or none has, is left out of every mean
over labels."""

import numpy as np

from transferscope.statistics.influence import Undefined, of_groups, one_auroc


def macro_auroc(scores: np.ndarray, has: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Scores [n, L], which labels an item has [n, L], groups [n] or None -> ψ [n], the mean over labels of
    the influence values of their AUROC. Raises Undefined where no label varies."""
    varies = _varying(has, "macro_auroc")
    return of_groups(np.mean([one_auroc(scores[:, k], has[:, k]) for k in varies], axis=0), groups)


def mean_average_precision(
    scores: np.ndarray, has: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """The same of average precision: pseudo-values of the jackknife, n v − (n − 1) v₍₋ᵢ₎ (Tukey 1958), of
    each item by itself; their mean is v less the jackknife's estimate of its bias. n log n for each label."""
    varies = _varying(has, "map")
    found = [_pseudo_values(*_without_each(scores[:, k], has[:, k])) for k in varies]
    return of_groups(np.mean(found, axis=0), groups)


def average_precision(score: np.ndarray, has: np.ndarray) -> float:
    """[n], [n] (bool) -> the mean, over the items that have a label, of the share that has it among those
    ranked as high as this item or higher; as scikit-learn's average_precision_score."""
    return _without_each(score, has)[0]


def of_one_item(has: np.ndarray) -> float:
    """Half of the largest change that one item's scores can make of its ψ [n, L]: of AUROC the mean over
    labels of 1 / 2π, π the share of the items that are as it is. Of average precision it is that of the
    item's own precision; what it changes of others' is left out."""
    has = has[:, _varying(has, "macro_auroc")]
    share = has.mean(0)
    return float(np.where(has, 1 / share, 1 / (1 - share)).mean(1).max() / 2)


def smallest(has: np.ndarray, groups: np.ndarray | None = None) -> int:
    """Of the labels that vary, [n, L]: the fewest items (groups where given) that have one, or have it
    not."""
    units = np.arange(len(has)) if groups is None else groups
    columns = has[:, _varying(has, "macro_auroc")].T
    return min(len(np.unique(units[side])) for column in columns for side in (column, ~column))


def _varying(has: np.ndarray, metric: str) -> np.ndarray:
    found = np.flatnonzero(has.any(0) & ~has.all(0))
    if not len(found):
        raise Undefined(f"{metric}: all test items have the same labels")
    return found


def _without_each(score: np.ndarray, has: np.ndarray) -> tuple[float, np.ndarray]:
    """(v, v₍₋ᵢ₎ [n]). Items of one score are of one rank g; of those that have the label there are m_g at it
    and t_g at it or above, among k_g items: v is Σ_g m_g t_g / k_g over the number of items that have it.
    Without an item the ranks from its own on have one item less. Without the only item that has a label v is
    not defined, and stays as it is."""
    _, rank = np.unique(-score.astype(float), return_inverse=True)
    m = np.bincount(rank, has)
    k, t, positives = np.cumsum(np.bincount(rank)), np.cumsum(m), has.sum()
    above = np.r_[0, np.cumsum(m * t / k)]  # of the ranks above each, and of all
    fewer = np.maximum(k - 1, 1)  # of one item alone, whose terms are 0
    without = []
    for lacks in (0, 1):  # an item that has not the label, one that has it
        terms = m * (t - lacks) / fewer
        from_here_on = np.cumsum(terms[::-1])[::-1] - lacks * (t - lacks) / fewer
        without.append((above[:-1] + from_here_on) / max(positives - lacks, 1))
    value = above[-1] / positives
    found = np.where(has, without[1][rank] if positives > 1 else value, without[0][rank])
    return float(value), found


def _pseudo_values(value: float, without: np.ndarray) -> np.ndarray:
    n = len(without)
    found: np.ndarray = n * value - (n - 1) * without
    return found
