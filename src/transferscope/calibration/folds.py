"""Small targets: coverage where every item is a test item in one fold of each seed, beside what is usually
made of folds.

A row of d is one seed with all its folds. Rows are independent and alike, given the items, because each seed
draws its folds anew; what the items of a fold share (one trained model) is dependence within a row, which
leaves both components of the interval unbiased: MS_seed is the variance of row means whatever their items
share, and it drops out of MS_item − MS_rest."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import product
from typing import cast

import numpy as np
from torch import Tensor

from transferscope.calibration import runs
from transferscope.calibration.coverage import (
    BASELINE,
    ITEM_BY_ARM_SD,
    ITEM_SD,
    LEVELS,
    SEEDS,
    STRATEGY,
    latent_truth,
)
from transferscope.calibration.findings import Finding, Size, most_errors, watched
from transferscope.calibration.many import Layout, t_quantile
from transferscope.calibration.resampling import chunks
from transferscope.data.splits import generator

FOLDS = 5
ITEMS = (150, 600)
SEED_SD = 0.1  # what the folds of a seed share, such as the source model
MODEL_SD = (0.0, 0.1, 0.4)  # what the items of one fold of one seed share: the trained model
REAL_ITEMS, REAL_LABELS, REAL_WIDTH = 160, 3, 16
SOURCES = ("rotated", "letters")
SOURCE_WEIGHT = 3.0  # labelled items that the source's class mean counts as
REAL_SHARE = 2  # a real draw is some dozens of trained classifiers: one for so many draws of a point


def study(size: Size) -> Iterator[Finding]:
    for seeds, items, model_sd in watched(
        list(product(SEEDS, ITEMS, MODEL_SD)), "coverage, folds, simulated scores"
    ):
        rng = generator("calibration", "folds", seeds, items, model_sd)
        drawn = (latent(seeds, items, model_sd, count, rng) for count in chunks(size.draws, seeds * items))
        yield from held_against(
            drawn, latent_truth(np.hypot(SEED_SD, model_sd)), f"K={seeds} n={items} model sd={model_sd}"
        )
    for source, seeds in product(SOURCES, SEEDS):
        rng, draws = generator("calibration", "folds", source, seeds), max(1, size.draws // REAL_SHARE)
        setting = f"small data sets: {source}, K={seeds} n={REAL_ITEMS}"
        drawn = [nearest_means(source, seeds, rng) for _ in watched(range(draws), setting)]
        d, fold_of = (np.stack(part) for part in zip(*drawn, strict=True))
        yield from held_against([(d, fold_of)], float(d.mean()), setting)


# --- experiments: d [B, K, n] and fold_of [B or 1, K, n], which fold of its seed an item is tested in


def latent(
    seeds: int, items: int, model_sd: float, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """As `coverage.latent`, with a level of its own for either arm in every fold of every seed."""

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    fold_of = np.stack([rng.permutation(np.arange(items) % FOLDS) for _ in range(seeds)])  # [K, n]
    difficulty, right = np.float32(ITEM_SD) * normal(draws, 1, items), []
    for mean in (STRATEGY, BASELINE):
        level = difficulty + np.float32(ITEM_BY_ARM_SD) * normal(draws, 1, items) + np.float32(mean)
        model = np.float32(SEED_SD) * normal(draws, seeds, 1) + np.float32(model_sd) * normal(
            draws, seeds, FOLDS
        )
        level = level + model[:, np.arange(seeds)[:, None], fold_of]
        right.append((normal(draws, seeds, items) > -level).astype(np.int8))
    return right[0] - right[1], fold_of[None]


@cache
def digits(name: str) -> tuple[np.ndarray, np.ndarray]:
    """(inputs [N, 64], labels [N]) of a domain of runs.py."""
    return cast(Tensor, runs.domain(name).inputs).numpy(), runs.domain(name).labels.numpy()


def nearest_means(source: str, seeds: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One data set of REAL_ITEMS digits, classified in folds by the nearest class mean of REAL_LABELS
    training items a class.

    Each arm of each fold of each seed has a random projection of its own in place of an initialisation; the
    strategy's means count the source's mean as SOURCE_WEIGHT further items. int8 d [K, n], fold_of [K, n].
    """
    (inputs, labels), (source_inputs, source_labels) = digits("target"), digits(source)
    while True:
        chosen = rng.choice(len(labels), REAL_ITEMS, replace=False)
        y = labels[chosen]
        if np.bincount(y, minlength=10).min() >= 2 * REAL_LABELS:
            break
    x, by_class = inputs[chosen], np.argsort(y, kind="stable")
    fold_of = np.empty((seeds, REAL_ITEMS), dtype=int)
    for row in fold_of:  # each class dealt out over the folds, as `splits.split` does
        row[by_class[np.lexsort((rng.random(REAL_ITEMS), y[by_class]))]] = np.arange(REAL_ITEMS) % FOLDS
    is_test = fold_of[:, None] == np.arange(FOLDS)[:, None]  # [K, F, n]
    # class by class, in each the training items first
    order = np.argsort(10 * y + rng.random(is_test.shape) + 2 * is_test, axis=-1)
    starts = np.r_[0, np.cumsum(np.bincount(y, minlength=10))[:-1]]
    labelled = order[..., starts[:, None] + np.arange(REAL_LABELS)]  # [K, F, 10, labels]
    known = np.stack([source_inputs[source_labels == c].mean(axis=0) for c in range(10)])  # [10, 64]
    right = []
    for weight in (SOURCE_WEIGHT, 0.0):
        projection = rng.standard_normal((seeds, FOLDS, x.shape[1], REAL_WIDTH))
        means = (x[labelled].sum(axis=3) + weight * known) / (REAL_LABELS + weight)  # [K, F, 10, 64]
        projected, means = x @ projection, means @ projection  # [K, F, n, w], [K, F, 10, w]
        distance = (means**2).sum(axis=-1)[:, :, None] - 2 * projected @ means.swapaxes(-1, -2)
        right.append(((distance.argmin(axis=-1) == y) & is_test).any(axis=1))
    return right[0].astype(np.int8) - right[1], fold_of


# --- what is made of them: centre and half-width of an interval, [B]


def fold_means(d: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """[B, K, F]"""
    return np.stack([np.mean(d, axis=2, where=fold_of == fold) for fold in range(FOLDS)], axis=2)


def folds_of_one_seed(layout: Layout, means: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The k-fold cross-validated paired t-test: the folds of one seed as independent."""
    return _t_interval(means[:, 0], alpha, 1 / FOLDS)


def folds_of_all_seeds(layout: Layout, means: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """All folds of all seeds as independent."""
    every = means.reshape(layout.draws, -1)
    return _t_interval(every, alpha, 1 / every.shape[1])


def nadeau_bengio(layout: Layout, means: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The corrected resampled t-test: 1/J + n_test/n_train for 1/J (Nadeau & Bengio 2003; for repeated folds
    Bouckaert & Frank 2004)."""
    every = means.reshape(layout.draws, -1)
    return _t_interval(every, alpha, 1 / every.shape[1] + 1 / (FOLDS - 1))


def t_over_seeds(layout: Layout, means: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """A seed's folds make one score; mean and standard error over seeds."""
    return _t_interval(layout.row, alpha, 1 / layout.seeds)


def all_results(layout: Layout, means: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Every item of every seed as one more independent test item."""
    number = layout.seeds * layout.items
    variance = layout.sums.square / number - layout.delta**2
    return layout.delta, t_quantile(alpha, np.inf) * np.sqrt(variance / number)


def _t_interval(values: np.ndarray, alpha: float, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """values [B, J]: their means [B] and t(J − 1) √(factor × variance) [B]."""
    return values.mean(axis=1), t_quantile(alpha, values.shape[1] - 1) * values.std(axis=1, ddof=1) * np.sqrt(
        factor
    )


HABITS: dict[str, Callable] = {
    "folds of one seed": folds_of_one_seed,
    "all folds": folds_of_all_seeds,
    "Nadeau-Bengio": nadeau_bengio,
    "t over seeds": t_over_seeds,
    "all results": all_results,
}


def held_against(
    drawn: Iterable[tuple[np.ndarray, np.ndarray]], truth: float, setting: str
) -> Iterator[Finding]:
    """Error rates at every level, ours and the habits', of experiments whose Δ is `truth`; and how wide the
    corrected t-test's intervals are."""
    missed = {name: np.zeros(len(LEVELS)) for name in ("ours", *HABITS)}
    widths = np.zeros((2, len(LEVELS)))
    draws = 0
    for d, fold_of in drawn:
        layout, means = Layout(d), fold_means(d, fold_of)
        effects, draws = layout.effects(), draws + len(d)
        for place, alpha in enumerate(LEVELS.values()):
            bounds = {"ours": (effects.delta, effects.half(alpha))} | {
                name: habit(layout, means, alpha) for name, habit in HABITS.items()
            }
            for name, (centre, half) in bounds.items():
                missed[name][place] += np.sum(np.abs(centre - truth) > half)
            widths[:, place] += [bounds[name][1].sum() for name in ("ours", "Nadeau-Bengio")]
    for place, (level, alpha) in enumerate(LEVELS.items()):
        rates = {name: float(count[place]) / draws for name, count in missed.items()}
        error, bar = rates.pop("ours"), most_errors(alpha, draws)
        detail = {"bar": bar, **rates, "width of Nadeau-Bengio": float(widths[1, place] / widths[0, place])}
        yield Finding(
            "folds", f"{setting} {level}", alpha, error, error <= bar, draws, "component-wise t", detail
        )
