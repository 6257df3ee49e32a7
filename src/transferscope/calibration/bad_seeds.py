"""Seeds that are not Gaussian: skewed effects and rare bad seeds, which no interval of K seeds can see.
Limits, with their numbers."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from transferscope.calibration.findings import Finding, Size, watched
from transferscope.calibration.many import Sums
from transferscope.calibration.resampling import chunks
from transferscope.calibration.scores import with_gaussian_rest
from transferscope.calibration.tally import held_against
from transferscope.data.splits import generator

SEEDS = (5, 10, 20)
ITEMS = 2000
ITEM_SD, REST_SD = 0.1, 0.3  # of d
SCALE = 0.02  # of the skewed effects

SYMMETRIC = "symmetric"

Effects = Callable[[tuple[int, int], np.random.Generator], np.ndarray]
KINDS: dict[str, tuple[Effects, float]] = {  # effects of seeds, and their mean
    SYMMETRIC: (lambda shape, rng: SCALE * rng.standard_normal(shape), 0.0),
    "exponential losses": (lambda shape, rng: SCALE * (1 - rng.exponential(size=shape)), 0.0),
    "lognormal losses": (lambda shape, rng: SCALE * (np.exp(0.5) - rng.lognormal(size=shape)), 0.0),
    "10 % lose 30 points, the rest gain 2": (
        lambda shape, rng: np.where(rng.random(shape) < 0.1, -0.3, 0.02),
        -0.012,
    ),
}


def study(size: Size) -> Iterator[Finding]:
    for name, seeds in watched(list(product(KINDS, SEEDS)), "bad seeds"):
        rng = generator("calibration", "bad seeds", name, seeds)
        drawn = (sums(name, seeds, count, rng) for count in chunks(size.draws, ITEMS))
        yield from held_against(
            "bad_seeds", f"{name}, K={seeds} n={ITEMS}", drawn, KINDS[name][1], limit=name != SYMMETRIC
        )


def sums(name: str, seeds: int, draws: int, rng: np.random.Generator) -> Sums:
    return with_gaussian_rest(
        ITEM_SD * rng.standard_normal((draws, ITEMS)), KINDS[name][0]((draws, seeds), rng), REST_SD, rng
    )
