"""Metrics that are no mean over items: coverage of the interval of their influence values
(statistics/influence.py), many draws at once."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from scipy.special import ndtr

from transferscope.calibration import runs
from transferscope.calibration.coverage import SEEDS
from transferscope.calibration.findings import LEVELS, Finding, Size, at_levels, watched
from transferscope.calibration.many import Layout
from transferscope.calibration.resampling import chunks
from transferscope.data.splits import generator
from transferscope.statistics.influence import OF_NAMED, SCALES
from transferscope.strategies.fine_tuning import FineTuning

ITEMS = (200, 500)
CLASSES = 10
LABELS = 5  # a class, of the real runs
DRAW_SHARE = 2
SHARES = {"balanced": 1.0, "classes from 17 to 3 %": 0.2}  # the smallest class's share of the largest one's
POSITIVES = (0.5, 0.1)
# of the two classes, baseline and strategy; its spread between seeds
SEPARATION, SEPARATION_SD = ((1.6, 1.9), 0.2)
SHARED_SD, BY_ARM_SD, REST_SD = 0.7, 0.5, 0.5  # of an item's score: in both arms, in one, in one run


def study(size: Size) -> Iterator[Finding]:
    draws, arms = max(1, size.draws // DRAW_SHARE), (runs.TrainedArm(FineTuning, "letters"), runs.SCRATCH)
    strategy, baseline = (runs.named(arm, LABELS, range(size.seeds)) for arm in arms)
    for (shares, smallest), metric in product(SHARES.items(), INFLUENCE):
        kept = thinned(runs.labels(), smallest)
        pool = Pool(strategy[:, kept], baseline[:, kept], runs.labels()[kept])
        for seeds, items in watched(list(product(SEEDS, ITEMS)), f"coverage, {metric}, {shares}"):
            rng = generator("calibration", "metrics", metric, shares, seeds, items)
            drawn = (pool.draw(metric, seeds, items, count, rng) for count in chunks(draws, seeds * items))
            yield from held_against(
                metric, drawn, pool.truth(metric), f"{metric}, real, {shares}, K={seeds} n={items}"
            )
    for share, seeds, items in watched(list(product(POSITIVES, SEEDS, ITEMS)), "coverage, auroc"):
        rng = generator("calibration", "metrics", "auroc", share, seeds, items)
        drawn = (binormal(share, seeds, items, count, rng) for count in chunks(draws, seeds * items))
        yield from held_against(
            "auroc", drawn, binormal_truth(), f"auroc, simulated, {share:.0%} positive, K={seeds} n={items}"
        )


def held_against(
    metric: str, drawn: Iterator[tuple[np.ndarray, np.ndarray]], truth: float, setting: str
) -> Iterator[Finding]:
    """drawn: d [B, K, n] of influence values and what one changed item makes of one [B]."""
    missed, draws = np.zeros(len(LEVELS)), 0
    for d, change in drawn:
        effects, draws = Layout(d).effects(**{SCALES[metric]: change}), draws + len(d)
        missed += [effects.misses(truth, alpha).sum() for alpha in LEVELS.values()]
    yield from at_levels("metrics", setting, missed, draws, "component-wise t, influence")


# --- real predictions, resampled


def thinned(labels: np.ndarray, smallest: float) -> np.ndarray:
    """Positions of items: of each class a share that falls geometrically from 1 to `smallest`."""
    share = smallest ** (np.arange(CLASSES) / (CLASSES - 1))
    return np.concatenate(
        [np.flatnonzero(labels == c)[: round(share[c] * np.sum(labels == c))] for c in range(CLASSES)]
    )


class Pool:
    """Classes named by either arm, [S, N], and the labels [N]: the whole population, from which seeds and
    items are drawn."""

    def __init__(self, strategy: np.ndarray, baseline: np.ndarray, labels: np.ndarray):
        self.arms, self.labels = (strategy, baseline), labels

    def truth(self, metric: str) -> float:
        strategy, baseline = (INFLUENCE[metric](arm[None], self.labels[None]).mean() for arm in self.arms)
        return float(strategy - baseline)

    def draw(
        self, metric: str, seeds: int, items: int, draws: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        row = rng.integers(len(self.arms[0]), size=(draws, seeds, 1))
        column = rng.integers(len(self.labels), size=(draws, items))
        labels = self.labels[column]
        named = [arm[row, column[:, None]] for arm in self.arms]
        strategy, baseline = (INFLUENCE[metric](arm, labels) for arm in named)
        return strategy - baseline, of_one_change(labels, named if metric in OF_NAMED else [])


def of_one_change(labels: np.ndarray, named: Sequence[np.ndarray] = (), classes: int = CLASSES) -> np.ndarray:
    """`influence.of_one_change` of labels [B, n] and the classes that each arm names [B, K, n]: [B]."""
    counts, n = _counts(labels, classes), labels.shape[1]
    absent = counts == 0
    fewest = [1 / np.where(absent, np.inf, counts).min(axis=1)]
    if named:
        each = [_counts(arm.reshape(-1, n), classes).reshape(*arm.shape[:2], classes) for arm in named]
        fewest = [
            np.mean(1 / np.where(absent[:, None], np.inf, np.maximum(of_arm, 1)).min(axis=2), axis=1)
            for of_arm in each
        ]
    return n / (~absent).sum(axis=1) * np.max(fewest, axis=0)


def macro_f1(named: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Influence values of classes named [B, K, n], labels [B, n]: `influence.values`, [B, K, n]."""
    draws, seeds, n = named.shape
    truth = np.broadcast_to(labels[:, None], named.shape)
    right = named == truth
    is_there = _counts(labels, CLASSES)[:, None] > 0  # [B, 1, C]
    hit = (
        _counts(np.where(right, truth, CLASSES).reshape(-1, n), CLASSES + 1)[:, :CLASSES].reshape(
            draws, seeds, CLASSES
        )
        / n
    )
    size = (
        _counts(labels, CLASSES)[:, None]
        + _counts(named.reshape(-1, n), CLASSES).reshape(draws, seeds, CLASSES)
    ) / n
    size = np.where(is_there, size, 1.0)
    f = 2 * hit / size
    # of a class, for who is right, for who is of it
    gain, loss = (np.where(is_there, 2 / size, 0.0), np.where(is_there, f / size, 0.0))
    present = is_there.sum(axis=2, keepdims=True)
    psi = _of(gain, truth) * right - _of(loss, truth) - _of(loss, named)
    return (f.sum(axis=2, keepdims=True) + psi) / present


def balanced_accuracy(named: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As `macro_f1`."""
    draws, seeds, n = named.shape
    truth = np.broadcast_to(labels[:, None], named.shape)
    right = named == truth
    count = _counts(labels, CLASSES)[:, None]
    hit = _counts(np.where(right, truth, CLASSES).reshape(-1, n), CLASSES + 1)[:, :CLASSES].reshape(
        draws, seeds, CLASSES
    )
    recall = hit / np.maximum(count, 1)
    weight = np.broadcast_to(n / np.maximum(count, 1), recall.shape)
    present = (count > 0).sum(axis=2, keepdims=True)
    return (recall.sum(axis=2, keepdims=True) + (right - _of(recall, truth)) * _of(weight, truth)) / present


def macro_precision(named: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As `macro_f1`."""
    draws, seeds, n = named.shape
    truth = np.broadcast_to(labels[:, None], named.shape)
    right = named == truth
    is_there = _counts(labels, CLASSES)[:, None] > 0  # [B, 1, C]
    told = _counts(named.reshape(-1, n), CLASSES).reshape(draws, seeds, CLASSES)
    hit = _counts(np.where(right, truth, CLASSES).reshape(-1, n), CLASSES + 1)[:, :CLASSES].reshape(
        draws, seeds, CLASSES
    )
    precision = hit / np.maximum(told, 1)  # 0 for a class without an item
    weight = np.where(is_there, n / np.maximum(told, 1), 0.0)
    present = is_there.sum(axis=2, keepdims=True)
    change = (right - _of(precision, named)) * _of(weight, named)
    psi: np.ndarray = (precision.sum(axis=2, keepdims=True) + change) / present
    return psi


INFLUENCE = {
    "macro_f1": macro_f1,
    "balanced_accuracy": balanced_accuracy,
    "macro_precision": macro_precision,
}


def _counts(classes: np.ndarray, number: int) -> np.ndarray:
    """[R, n] of class indices -> [R, number]"""
    place = np.arange(len(classes))[:, None] * number + classes
    return np.bincount(place.ravel(), minlength=len(classes) * number).reshape(len(classes), number)


def _of(by_class: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """[B, K, C] at [B, K, n]"""
    return np.take_along_axis(by_class, classes.astype(np.intp), axis=2)


# --- scores of two classes, simulated


def binormal_truth() -> float:
    """Expected difference in AUROC of `binormal`."""
    spread = 2 * (SHARED_SD**2 + BY_ARM_SD**2 + REST_SD**2)
    baseline, strategy = ndtr(np.array(SEPARATION) / np.sqrt(spread + SEPARATION_SD**2))
    return float(strategy - baseline)


def binormal(
    share: float, seeds: int, items: int, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """d [draws, K, n] of AUROC's influence values, and what one change makes of one [draws].

    score = separation of the seed and arm (where positive) + item + item by arm + rest, all Gaussian; each
    class has an item at least."""
    positive = rng.random((draws, items)) < share
    positive[:, 0], positive[:, 1] = True, False
    item = SHARED_SD * rng.standard_normal((draws, 1, items), dtype=np.float32)
    psi = []
    for mean in SEPARATION:
        score = item + BY_ARM_SD * rng.standard_normal((draws, 1, items), dtype=np.float32)
        score = score + REST_SD * rng.standard_normal((draws, seeds, items), dtype=np.float32)
        apart = np.float32(mean) + np.float32(SEPARATION_SD) * rng.standard_normal(
            (draws, seeds, 1), dtype=np.float32
        )
        psi.append(auroc(score + apart * positive[:, None], positive))
    return psi[1] - psi[0], of_one_change(positive.astype(int), classes=2)


def auroc(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Influence values of scores [B, K, n] without ties, positive bool [B, n]: `influence.values` for two
    classes, [B, K, n]."""
    order = np.argsort(score, axis=2)
    is_positive = np.take_along_axis(np.broadcast_to(positive[:, None], score.shape), order, axis=2)
    positives = positive.sum(axis=1)[:, None, None]
    negatives = positive.shape[1] - positives
    below = np.cumsum(~is_positive, axis=2) / negatives  # share of the negatives at or below
    # share of the positives at or above
    above = 1 - (np.cumsum(is_positive, axis=2) - is_positive) / positives
    placement = np.empty(score.shape)
    np.put_along_axis(placement, order, np.where(is_positive, below, above), axis=2)
    of_class = np.where(positive[:, None], positives, negatives)
    area = (placement * positive[:, None]).sum(axis=2, keepdims=True) / positives
    return area + (placement - area) * positive.shape[1] / of_class
