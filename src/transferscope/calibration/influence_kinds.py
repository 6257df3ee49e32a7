"""Macro-F1, balanced accuracy, macro precision and AUROC of arms that rarely differ: lasting errors, noise,
and rare losses against diffuse gains."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import ndtr

from transferscope.calibration.findings import Finding, Size, watched
from transferscope.calibration.many import Layout
from transferscope.calibration.metrics import CLASSES, INFLUENCE, POSITIVES, SHARES, auroc, of_one_change
from transferscope.calibration.resampling import chunks
from transferscope.calibration.tally import Tally
from transferscope.data.splits import generator
from transferscope.statistics.influence import OF_NAMED, SCALES

SEEDS = (5, 10)
ITEMS = (50, 200, 2000)
LASTING = (0.003, 0.02)
NOISE = 0.01  # of either arm's places
RIGHT = 0.85  # of the items, by both arms but for what follows
SEPARATION, ITEM_SD, REST_SD = 1.5, 1.0, 0.1  # of two classes' scores
FAR = 20.0
DRAW_SHARE = {50: 1.6, 200: 1.6, 2000: 4}  # one draw of so many
FEWEST = 4  # items of the smallest class, expected


@dataclass(frozen=True)
class Errors:
    """Of one arm: shares of the items that it gets wrong in every seed, and of the places that it gets wrong
    by chance."""

    lasting: float
    noise: float


def kinds(lasting: float) -> dict[str, tuple[Errors, Errors]]:
    """Strategy and baseline. Where the strategy's lasting errors are as many as the baseline's by chance, Δ
    is 0."""
    return {
        "null: two-sided": (Errors(lasting / 2, NOISE), Errors(lasting / 2, NOISE)),
        "one-sided": (Errors(lasting, NOISE), Errors(0.0, NOISE)),
        "null: lasting loss, diffuse gain": (Errors(lasting, 0.0), Errors(0.0, lasting)),
    }


def study(size: Size) -> Iterator[Finding]:
    grid = list(product(LASTING, ITEMS, SEEDS))
    for (shares, smallest), (lasting, items, seeds) in watched(
        list(product(SHARES.items(), grid)), "rare errors, classes"
    ):
        weight = smallest ** (np.arange(CLASSES) / (CLASSES - 1))
        weight /= weight.sum()
        for name, arms in kinds(lasting).items() if items * weight.min() >= FEWEST else ():
            setting = f"{name} {lasting:.1%}, {shares}, K={seeds} n={items}"
            rng = generator("calibration", "influence kinds", setting)
            drawn = (
                classified(arms, weight, seeds, items, count, rng)
                for count in chunks(round(size.draws / DRAW_SHARE[items]), seeds * items)
            )
            yield from held_against(
                setting, drawn, {metric: worth(metric, arms, weight) for metric in INFLUENCE}
            )
    for share, (lasting, items, seeds) in watched(list(product(POSITIVES, grid)), "rare errors, auroc"):
        for name, arms in kinds(lasting).items() if items * share >= FEWEST else ():
            setting = f"{name} {lasting:.1%}, {share:.0%} positive, K={seeds} n={items}"
            rng = generator("calibration", "influence kinds", setting)
            drawn = (
                ranked(arms, share, seeds, items, count, rng)
                for count in chunks(round(size.draws / DRAW_SHARE[items]), seeds * items)
            )
            yield from held_against(setting, drawn, {"auroc": area(arms[0]) - area(arms[1])})


def held_against(
    setting: str,
    drawn: Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]],
    truth: dict[str, float],
) -> Iterator[Finding]:
    """drawn, by metric: d [B, K, n] of influence values, and what one changed item makes of one [B]."""
    tallies = {metric: Tally(of_metric) for metric, of_metric in truth.items()}
    for differences, change in drawn:
        for metric, d in differences.items():
            sums = Layout(d).sums
            tallies[metric].add(sums.effects(**{SCALES[metric]: change[metric]}), sums.plain())
    for metric, tally in tallies.items():
        yield from tally.findings("influence_kinds", f"{metric}, {setting}", "component-wise t, influence")


# --- classes


def classified(
    arms: tuple[Errors, Errors],
    shares: np.ndarray,
    seeds: int,
    items: int,
    draws: int,
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """As `held_against` has it. An error names one of the other classes, each as likely."""
    labels = rng.choice(CLASSES, p=shares, size=(draws, items)).astype(np.int8)
    named = np.where(rng.random((draws, items)) < RIGHT, labels, other(labels, rng))[:, None]
    predicted = []
    for arm in arms:
        lasting = rng.random((draws, 1, items), dtype=np.float32) < arm.lasting
        by_chance = rng.random((draws, seeds, items), dtype=np.float32) < arm.noise
        at_chance = np.where(by_chance, other(np.repeat(labels[:, None], seeds, axis=1), rng), named)
        predicted.append(np.where(lasting, other(labels, rng)[:, None], at_chance))
    return differences(predicted, labels)


def differences(
    named: list[np.ndarray], labels: np.ndarray, metrics: Iterable[str] = tuple(INFLUENCE)
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """As `held_against` has it, of classes that strategy and baseline name [B, K, n], labels [B, n]."""
    strategy, baseline = named
    d = {
        metric: INFLUENCE[metric](strategy, labels) - INFLUENCE[metric](baseline, labels)
        for metric in metrics
    }
    return d, {metric: of_one_change(labels, named if metric in OF_NAMED else []) for metric in d}


def other(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (labels + rng.integers(1, CLASSES, labels.shape, dtype=np.int8)) % CLASSES


def confusion(arm: Errors, shares: np.ndarray) -> np.ndarray:
    """Of the population, [label, named]."""
    wrong = 1 - RIGHT * (1 - arm.lasting) * (1 - arm.noise)
    return shares[:, None] * np.where(np.eye(CLASSES), 1 - wrong, wrong / (CLASSES - 1))


def worth(metric: str, arms: tuple[Errors, Errors], shares: np.ndarray) -> float:
    """Δ of the population."""
    strategy, baseline = (of_confusion(metric, confusion(arm, shares)) for arm in arms)
    return strategy - baseline


def of_confusion(metric: str, matrix: np.ndarray) -> float:
    right, labelled, named = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    size = {"balanced_accuracy": labelled, "macro_precision": named, "macro_f1": (labelled + named) / 2}
    return float(np.mean(right / size[metric]))


# --- two classes, ranked


def ranked(
    arms: tuple[Errors, Errors], share: float, seeds: int, items: int, draws: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """As `held_against` has it. An error puts the item at the far end of the other class, beyond all that are
    right."""
    positive = rng.random((draws, items)) < share
    positive[:, 0], positive[:, 1] = True, False
    side = np.where(positive, 1, -1)[:, None]
    item = SEPARATION * positive[:, None] + ITEM_SD * rng.standard_normal((draws, 1, items), dtype=np.float32)
    psi = []
    for arm in arms:
        score = item + REST_SD * rng.standard_normal((draws, seeds, items), dtype=np.float32)
        wrong = rng.random((draws, 1, items), dtype=np.float32) < arm.lasting
        wrong = wrong | (rng.random((draws, seeds, items), dtype=np.float32) < arm.noise)
        psi.append(auroc(np.where(wrong, score - FAR * side, score), positive))
    return {"auroc": psi[0] - psi[1]}, {"auroc": of_one_change(positive.astype(int), classes=2)}


def area(arm: Errors) -> float:
    """Of the population: a pair is in order where neither item is wrong and their scores are."""
    right = (1 - arm.lasting) * (1 - arm.noise)
    return float(right**2 * ndtr(SEPARATION / np.sqrt(2 * (ITEM_SD**2 + REST_SD**2))))
