"""Coverage: how often the interval misses the truth, on simulated scores and on resampled real
predictions."""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from scipy.special import ndtr

from transferscope.calibration import runs
from transferscope.calibration.findings import LEVELS, Finding, Size, at_levels, watched
from transferscope.calibration.habits import HABITS, pigeonhole
from transferscope.calibration.many import Layout
from transferscope.calibration.resampling import chunks, resampled
from transferscope.data.splits import generator

SEEDS = (3, 5, 10)
ITEMS = (200, 2000)
SEED_SD = (0.0, 0.1, 0.4)
STRATEGY, BASELINE = 1.3, 1.5  # mean latent margins: accuracies of 0.81 and 0.84
ITEM_SD, ITEM_BY_ARM_SD = 1.0, 0.5
CONTRASTS = tuple(
    (arm, budget)
    for arm in (runs.TrainedArm(runs.FineTuning, "rotated"), runs.TrainedArm(runs.FineTuning, "letters"))
    for budget in (2, 10)
)
BOOTSTRAP_SHARE = 10  # the bootstrap is tried on one draw in so many


def latent_truth(seed_sd: float) -> float:
    """Δ of `latent`: difference of two normal probabilities."""
    sd = np.sqrt(ITEM_SD**2 + ITEM_BY_ARM_SD**2 + seed_sd**2 + 1)
    return float(ndtr(STRATEGY / sd) - ndtr(BASELINE / sd))


def latent(seeds: int, items: int, seed_sd: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """int8 [draws, seeds, items] in −1, 0, 1: two classifiers, each right where its latent margin is
    positive.

    margin = mean + item (shared by the arms, sd 1) + item by arm (0.5) + seed by arm (seed_sd) + rest (1),
    all Gaussian."""

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    difficulty = np.float32(ITEM_SD) * normal(draws, 1, items)
    right = []
    for mean in (STRATEGY, BASELINE):
        level = difficulty + np.float32(ITEM_BY_ARM_SD) * normal(draws, 1, items) + np.float32(mean)
        level = level + np.float32(seed_sd) * normal(draws, seeds, 1)
        right.append((normal(draws, seeds, items) > -level).astype(np.int8))
    return right[0] - right[1]


def study(size: Size) -> Iterator[Finding]:
    for seeds, items, seed_sd in watched(list(product(SEEDS, ITEMS, SEED_SD)), "coverage, simulated scores"):
        rng = generator("calibration", "coverage", seeds, items, seed_sd)
        drawn = (latent(seeds, items, seed_sd, count, rng) for count in chunks(size.draws, seeds * items))
        yield from held_against(
            drawn, latent_truth(seed_sd), size.draws, f"K={seeds} n={items} sigma={seed_sd}", rng
        )
    pools = [
        (str(arm), budget, runs.differences([arm], [budget], range(size.seeds))) for arm, budget in CONTRASTS
    ]
    for (name, budget, pool), seeds, items in watched(
        list(product(pools, SEEDS, ITEMS)), "coverage, resampled real predictions"
    ):
        rng = generator("calibration", "coverage", name, budget, seeds, items)
        drawn = (next(cells) for cells in resampled(pool, seeds, items, size.draws, rng))
        yield from held_against(
            drawn, float(pool.mean()), size.draws, f"real: {name}, {budget} labels, K={seeds} n={items}", None
        )


def held_against(
    drawn: Iterable[np.ndarray], truth: float, draws: int, setting: str, bootstrap: np.random.Generator | None
) -> Iterator[Finding]:
    """Error rates at every level, ours and the habits', of experiments whose Δ is `truth`; with a generator,
    the bootstrap's too."""
    missed = {
        name: np.zeros(len(LEVELS))
        for name in ("ours", *HABITS, *(["pigeonhole bootstrap"] if bootstrap else []))
    }
    tried = 0
    for d in drawn:
        layout = Layout(d)
        effects = layout.effects()
        missed["ours"] += [effects.misses(truth, alpha).sum() for alpha in LEVELS.values()]
        for name, habit in HABITS.items():
            missed[name] += [habit(layout, truth, alpha).sum() for alpha in LEVELS.values()]
        if bootstrap:
            some = Layout(d[: -(-len(d) // BOOTSTRAP_SHARE)])
            missed["pigeonhole bootstrap"] += pigeonhole(some, truth, tuple(LEVELS.values()), bootstrap).sum(
                axis=0
            )
            tried += some.draws
    rates = {
        name: count / (tried if name.startswith("pigeonhole") else draws)
        for name, count in missed.items()
        if name != "ours"
    }
    more = {"draws of the bootstrap": tried} if bootstrap else {}
    detail = [
        {name: float(rate[place]) for name, rate in rates.items()} | more for place in range(len(LEVELS))
    ]
    yield from at_levels("coverage", setting, missed["ours"], draws, "component-wise t", detail)
