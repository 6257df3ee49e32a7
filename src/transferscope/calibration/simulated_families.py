"""Families of cells whose true effects are known, by kind, as the figures that a cell is judged by and not as
scores.

The row means of the seeds are normal (of one kind skewed), the mean squares of the items chi-square; the item
part of the cells' covariance is taken as known. Everything is in margins."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Effects = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]  # generator, (families, cells) -> Δ


@dataclass(frozen=True)
class Kind:
    """effects: the true Δ. one_sided: harm and gain are not alike.

    seed_sd, item_sd: of one seed's mean and of the items' mean. items n. shared: of either variance, common
    to all cells. unequal: sd of the log of a cell's noise. grows: noise grows with |Δ|. skewed: seed effects
    are exponential, few and bad. limit: why probabilities of this kind cannot be held to every bar."""

    name: str
    effects: Effects
    one_sided: bool = False
    seed_sd: float = 1.5
    item_sd: float = 0.5
    items: int = 400
    shared: float = 0.0
    unequal: float = 0.0
    grows: bool = False
    skewed: bool = False
    limit: str = ""


@dataclass(frozen=True)
class Families:
    """truth, delta, seed_variance, item_variance [B, m]; covariance [B], the estimated mean of the cells';
    item_df."""

    truth: np.ndarray
    delta: np.ndarray
    seed_variance: np.ndarray
    item_variance: np.ndarray
    covariance: np.ndarray
    item_df: int


# --- kinds --------------------------------------------------------------------------------------------------


def normal(spread: float, mean: float = 0.0) -> Effects:
    return lambda rng, shape: mean + spread * rng.standard_normal(shape)


def sparse(share: float, of_the_rest: Effects) -> Effects:
    return lambda rng, shape: (rng.random(shape) < share) * of_the_rest(rng, shape)


def either_sign(size: Effects) -> Effects:
    return lambda rng, shape: rng.choice([-1, 1], shape) * size(rng, shape)


def alike(one: Effects) -> Effects:
    """One Δ for all cells of a family."""
    return lambda rng, shape: np.broadcast_to(one(rng, (shape[0], 1)), shape)


def uniform(low: float, high: float) -> Effects:
    return lambda rng, shape: rng.uniform(low, high, shape)


NOTHING = "nothing, or hardly anything, exceeds the margin"
APART = "effects in groups apart, or all alike, are known better than is said"
CLOSE = "effects that lie close about the margin are known less well than is said"
KINDS = (
    Kind("normal, spread 2", normal(2)),
    Kind("normal, spread 1", normal(1)),
    Kind("normal, spread 6", normal(6)),
    Kind("most gain: normal about 1.5", normal(1.5, 1.5), one_sided=True),
    Kind("sparse: 20 % of spread 4", sparse(0.2, normal(4))),
    Kind("rare: 8 % of spread 8", sparse(0.08, normal(8)), limit=APART),
    Kind("heavy tails: t(3)", lambda rng, shape: 1.5 * rng.standard_t(3, shape)),
    Kind("two groups, ±2", either_sign(normal(1, 2)), limit=APART),
    Kind("half null, half gain", sparse(0.5, normal(1, 3)), one_sided=True, limit=APART),
    Kind(
        "harm alone: half-normal", lambda rng, shape: -np.abs(3 * rng.standard_normal(shape)), one_sided=True
    ),
    Kind(
        "skewed effects: harm to 1.5",
        lambda rng, shape: rng.exponential(2, shape) - 1.5,
        one_sided=True,
        limit=CLOSE,
    ),
    Kind("all equal", alike(normal(3)), limit=APART),
    Kind("skewed seeds", normal(2), skewed=True),
    Kind("shared baseline, half the variance", normal(2), shared=0.5),
    Kind("shared baseline, most of the variance", normal(2), shared=0.8),
    Kind("shared baseline, sparse", sparse(0.3, normal(3)), shared=0.5),
    Kind("shared baseline, most gain: normal about 3", normal(2, 3), one_sided=True, shared=0.5),
    Kind("shared baseline, all equal", alike(normal(3)), shared=0.5),
    Kind("unequal variances", normal(2), unequal=0.5),
    Kind("variance grows with the effect", normal(2), grows=True),
    Kind("noisy", normal(2), seed_sd=3, item_sd=1.2),
    Kind("precise", normal(2), seed_sd=0.4, item_sd=0.15),
    Kind("20 items", normal(2), item_sd=1.2, items=20),
    Kind("at the margin: 0.5 to 1.5", either_sign(uniform(0.5, 1.5)), limit=CLOSE),
    Kind("two groups far apart, ±4", either_sign(normal(1, 4)), limit=APART),
    Kind("all equal and large", alike(either_sign(normal(0.5, 4))), limit=APART),
    Kind("hardly any: normal, spread 0.5", normal(0.5), limit=NOTHING),
    Kind("none: within 0.9 of the margin", uniform(-0.9, 0.9), limit=NOTHING),
    Kind("none: all null", normal(0), limit=NOTHING),
)


# --- draws --------------------------------------------------------------------------------------------------


def simulated(kind: Kind, cells: int, seeds: int, count: int, rng: np.random.Generator) -> Families:
    """The rest's variance at one place of d is taken to be the items' own, and part of seed_sd."""
    shape, item_df = (count, cells), kind.items - 1
    truth = kind.effects(rng, shape)
    noise = np.exp(kind.unequal * rng.standard_normal(shape)) * (
        0.4 + 0.4 * np.abs(truth) if kind.grows else 1
    )

    def errors(*places: int) -> np.ndarray:
        common = np.sqrt(kind.shared) * rng.standard_normal((count, 1, *places))
        return common + np.sqrt(1 - kind.shared) * rng.standard_normal((*shape, *places))

    by_seed = 1 - rng.exponential(1, (*shape, seeds)) if kind.skewed else errors(seeds)
    rows = kind.seed_sd * noise[..., None] * by_seed  # [B, m, K]
    ms_item = (1 + 1 / seeds) * mean_squares(rng, shape, item_df)
    ms_rest = 1 / seeds * mean_squares(rng, shape, item_df * (seeds - 1))
    return Families(
        truth=truth,
        delta=truth + rows.mean(axis=2) + kind.item_sd * noise * errors(),
        seed_variance=rows.var(axis=2, ddof=1) / seeds,
        item_variance=(kind.item_sd * noise) ** 2 * np.maximum(ms_item - ms_rest, 0),
        covariance=row_covariance(rows) / seeds + kind.shared * kind.item_sd**2,
        item_df=item_df,
    )


def mean_squares(rng: np.random.Generator, shape: tuple[int, int], df: int) -> np.ndarray:
    """Of expectation 1."""
    return rng.chisquare(df, shape) / df


def row_covariance(rows: np.ndarray) -> np.ndarray:
    """rows [B, m, K] -> mean covariance of two cells' row means [B]."""
    _, m, seeds = rows.shape
    rows = rows - rows.mean(axis=2, keepdims=True)
    products = np.sum(rows.sum(axis=1) ** 2, axis=1) - np.sum(rows**2, axis=(1, 2))
    return products / (m * (m - 1) * (seeds - 1))
