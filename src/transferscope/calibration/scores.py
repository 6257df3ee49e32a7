"""Scores that are real numbers: nulls in which a strategy fails on few items for good, rare large losses, and
decisions in any unit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from transferscope.calibration.findings import LEVELS, Finding, Size, watched
from transferscope.calibration.many import Layout, Sums, powers
from transferscope.calibration.resampling import chunks
from transferscope.calibration.tally import held_against
from transferscope.data.splits import generator

SEEDS = (5, 10)
ITEMS = (50, 200, 2000)
FAILING = (0.0, 0.005, 0.02)  # shares of the items on which the strategy has the worst score in every seed
LEVEL = 2.0  # mean latent margin
ITEM_SD, BY_ARM_SD, SEED_SD, REST_SD = 1.0, 0.5, 0.1, 0.5
SPREAD = np.sqrt(ITEM_SD**2 + BY_ARM_SD**2 + SEED_SD**2 + REST_SD**2)
CLIP, CAP = 1e-3, 5.0


@dataclass(frozen=True)
class Score:
    """of: latent margin -> score, higher is better. unit: half the largest difference. worst: the score of an
    item that fails for good."""

    of: Callable[[np.ndarray], np.ndarray]
    unit: float
    worst: float
    has_bound: bool = True


SCORES = {
    "nll": Score(lambda z: np.log(np.clip(expit(z), CLIP, 1 - CLIP)), -np.log(CLIP) / 2, np.log(CLIP)),
    "brier": Score(lambda z: -2 * expit(-z) ** 2, 1.0, -2.0),
    "clipped error": Score(lambda z: -np.minimum(1.0, 0.1 * np.exp(-0.8 * (z - LEVEL))), 0.5, -1.0),
    "capped MASE": Score(lambda z: -np.minimum(CAP, 0.8 * np.exp(-0.6 * (z - LEVEL))), CAP / 2, -CAP),
    "MASE without a cap": Score(
        lambda z: -0.8 * np.exp(-0.6 * (z - LEVEL)), CAP / 2, -10 * CAP, has_bound=False
    ),
}
BOUND = 2.0  # the largest loss, of unit 1
LOSSES = {  # random draws of a share of items' losses, and their mean
    "lognormal": lambda shape, rng: np.minimum(BOUND, 0.1 * BOUND * rng.lognormal(size=shape)),
    "0.3 of the bound": lambda shape, rng: np.full(shape, 0.3 * BOUND),
    "at the bound": lambda shape, rng: np.full(shape, BOUND),
}
LOST = (0.01, 0.05)  # shares of the items
USUAL_ITEM_SD, USUAL_REST_SD, USUAL_SEED_SD = 0.05, 0.1, 0.002  # of the other items, and all seeds
UNITS = (1e-3, 1.0, 1e3)
UNIT_ITEMS = 200
DRAW_SHARE = 1.6


def study(size: Size) -> Iterator[Finding]:
    draws = max(1, round(size.draws / DRAW_SHARE))
    for (name, score), failing, items, seeds in watched(
        list(product(SCORES.items(), FAILING, ITEMS, SEEDS)), "scores, nulls"
    ):
        rng = generator("calibration", "scores", name, failing, seeds, items)
        drawn = (
            Layout(null(score, failing, seeds, items, count, rng)).sums
            for count in chunks(draws, seeds * items)
        )
        setting = f"{name}, null: {failing:.1%} fail for good, K={seeds} n={items}"
        yield from held_against("scores", setting, drawn, 0.0, score.unit, limit=not score.has_bound)
    for loss, lost, items, seeds in watched(list(product(LOSSES, LOST, ITEMS, SEEDS)), "rare losses"):
        rng = generator("calibration", "scores", loss, lost, seeds, items)
        drawn = (rare_losses(loss, lost, seeds, items, count, rng) for count in chunks(size.draws, items))
        yield from held_against(
            "scores", f"losses {loss} on {lost:.0%}, K={seeds} n={items}", drawn, -lost * mean_loss(loss)
        )
    for name, failing in watched(list(product(SCORES, FAILING)), "decisions in three units"):
        yield in_three_units(name, failing, max(1, size.draws // 10))


def null(
    score: Score, failing: float, seeds: int, items: int, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """float32 [draws, K, n]: latent margins as in `coverage.latent`. The strategy's worst scores on the
    failing items are made up for by its gain in latent margin on all others, so that Δ is 0."""

    def normal(sd: float, *shape: int) -> np.ndarray:
        return np.float32(sd) * rng.standard_normal((draws, *shape), dtype=np.float32)

    shared, scores = LEVEL + normal(ITEM_SD, 1, items), []
    for gain in (gain_for(score, failing), 0.0):
        margin = (
            shared + normal(BY_ARM_SD, 1, items) + normal(SEED_SD, seeds, 1) + normal(REST_SD, seeds, items)
        )
        scores.append(score.of(margin + np.float32(gain)))
    fails = rng.random((draws, 1, items), dtype=np.float32) < failing
    return np.where(fails, np.float32(score.worst), scores[0]) - scores[1]


def gain_for(score: Score, failing: float) -> float:
    """Gain in latent margin that makes up for the worst score on a share of items."""
    z = np.linspace(-8, 8, 4001)
    weight = norm.pdf(z) / norm.pdf(z).sum()

    def mean(gain: float) -> float:
        return float(weight @ score.of(LEVEL + gain + SPREAD * z))

    return (
        brentq(lambda gain: (1 - failing) * mean(gain) + failing * score.worst - mean(0.0), 0.0, 10.0)
        if failing
        else 0.0
    )


def rare_losses(loss: str, lost: float, seeds: int, items: int, draws: int, rng: np.random.Generator) -> Sums:
    c = USUAL_ITEM_SD * rng.standard_normal((draws, items))
    c = np.where(rng.random((draws, items)) < lost, -LOSSES[loss]((draws, items), rng), c)
    return with_gaussian_rest(c, USUAL_SEED_SD * rng.standard_normal((draws, seeds)), USUAL_REST_SD, rng)


def mean_loss(loss: str) -> float:
    z = np.linspace(-8, 8, 4001)
    if loss == "lognormal":
        return float(np.minimum(BOUND, 0.1 * BOUND * np.exp(z)) @ norm.pdf(z) / norm.pdf(z).sum())
    return float(LOSSES[loss]((), None))


def with_gaussian_rest(item: np.ndarray, seed: np.ndarray, rest_sd: float, rng: np.random.Generator) -> Sums:
    """Sums of d = item [B, n] + seed [B, K] + Gaussian rest, without drawing the rest place by place.

    Row means, column means and the residual sum of squares of a Gaussian layout are independent (Cochran
    1934): exact."""
    (draws, n), seeds = item.shape, seed.shape[1]
    column = (
        item + seed.mean(axis=1, keepdims=True) + rest_sd / np.sqrt(seeds) * rng.standard_normal(item.shape)
    )
    row = seed + rest_sd / np.sqrt(n) * rng.standard_normal(seed.shape)
    row = row - row.mean(axis=1, keepdims=True)
    residual = rest_sd**2 * rng.chisquare((seeds - 1) * (n - 1), size=draws)
    return Sums(
        row=n * (row + column.mean(axis=1, keepdims=True)),
        square=seeds * np.sum(column**2, axis=1) + n * np.sum(row**2, axis=1) + residual,
        columns=powers(seeds * column),
        items=n,
    )


def in_three_units(name: str, failing: float, draws: int) -> Finding:
    """How often the same experiment is decided otherwise in another unit, difference or equivalence, at any
    level."""
    score, rng = SCORES[name], generator("calibration", "scores", "units", name, failing)
    d = null(score, failing, SEEDS[0], UNIT_ITEMS, draws, rng) - 0.05 * score.unit * rng.standard_normal(
        (draws, 1, 1)
    )
    claims = []
    for unit in UNITS:
        effects = Layout(unit * d).effects(unit * score.unit)
        half, size = np.stack([effects.half(alpha) for alpha in LEVELS.values()]), np.abs(effects.delta)
        claims.append(np.concatenate([size > half, size + half < 0.05 * unit * score.unit]))
    differs = float(np.mean([(claim != claims[1]).any(axis=0) for claim in claims]))
    setting = (
        f"decided otherwise in another unit: {name}, {failing:.1%} fail for good, K={SEEDS[0]} n={UNIT_ITEMS}"
    )
    return Finding("scores", setting, 0.0, differs, differs == 0, draws, "component-wise t")
