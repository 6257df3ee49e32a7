"""Items that come in groups: coverage where the group is the item, as `item_group` has it, and where that is
overlooked."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from transferscope.calibration.coverage import (
    BASELINE,
    ITEM_BY_ARM_SD,
    ITEM_SD,
    SEEDS,
    STRATEGY,
    latent_truth,
)
from transferscope.calibration.findings import LEVELS, Finding, Size, at_levels, watched
from transferscope.calibration.many import Layout
from transferscope.calibration.resampling import chunks
from transferscope.data.splits import generator

ITEMS = 400
SIZES = {
    "groups of 5": (5,) * 80,
    "groups of 10": (10,) * 40,
    "groups of 1 to 19": tuple(range(1, 20, 2)) * 4,
}
SEED_SD = 0.1
SHARED = 0.5  # of the items' variance, inside a group


def grouped(seeds: int, sizes: tuple[int, ...], draws: int, rng: np.random.Generator) -> np.ndarray:
    """int8 [draws, seeds, items] as `coverage.latent`, half of either item variance being the group's; items
    group by group."""

    def items(sd: float) -> np.ndarray:
        shared = np.repeat(rng.standard_normal((draws, 1, len(sizes)), dtype=np.float32), sizes, axis=2)
        own = rng.standard_normal(shared.shape, dtype=np.float32)
        return np.float32(sd) * (np.float32(SHARED**0.5) * shared + np.float32((1 - SHARED) ** 0.5) * own)

    difficulty, right = items(ITEM_SD), []
    for mean in (STRATEGY, BASELINE):
        level = difficulty + items(ITEM_BY_ARM_SD) + np.float32(mean)
        level = level + np.float32(SEED_SD) * rng.standard_normal((draws, seeds, 1), dtype=np.float32)
        right.append((rng.standard_normal(level.shape, dtype=np.float32) > -level).astype(np.int8))
    return right[0] - right[1]


def study(size: Size) -> Iterator[Finding]:
    for (name, sizes), seeds in watched(list(product(SIZES.items(), SEEDS)), "coverage, items in groups"):
        yield from coverage(name, sizes, seeds, size.draws)


def coverage(name: str, sizes: tuple[int, ...], seeds: int, draws: int) -> Iterator[Finding]:
    rng, truth = generator("calibration", "groups", name, seeds), latent_truth(SEED_SD)
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    missed = np.zeros((2, len(LEVELS)))
    for count in chunks(draws, seeds * sum(sizes)):
        d = grouped(seeds, sizes, count, rng)
        means = np.add.reduceat(d, starts, axis=2, dtype=float) / np.array(sizes)
        for row, layout in enumerate((Layout(means), Layout(d))):
            missed[row] += [layout.effects().misses(truth, alpha).sum() for alpha in LEVELS.values()]
    detail = [{"items as independent": float(items)} for items in missed[1] / draws]
    yield from at_levels("groups", f"{name}, K={seeds}", missed[0], draws, "component-wise t", detail)
