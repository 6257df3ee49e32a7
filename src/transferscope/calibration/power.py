"""Power: planted harm of known size is called negative as often as the printed minimum detectable effect
says."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from transferscope.calibration import runs
from transferscope.calibration.findings import ALPHA, Finding, Size, watched
from transferscope.calibration.many import Layout
from transferscope.calibration.resampling import resampled
from transferscope.data.splits import generator
from transferscope.statistics.effect import POWER

HEAVY = 10.0  # at weight 1 even meaningless source labels cost joint training and dann two points at most
HARM = (
    *(runs.TrainedArm(runs.Joint, "rotated", noise, HEAVY) for noise in runs.NOISE),
    runs.TrainedArm(runs.Joint, "rotated", noise=1.0),
    *(runs.TrainedArm(runs.DANN, "rotated", noise, HEAVY) for noise in runs.NOISE),
    runs.TrainedArm(runs.DANN, "letters"),
    runs.TrainedArm(runs.FineTuning, "quarter turn"),
    runs.TrainedArm(runs.FineTuning, "letters"),
)
SEEDS = (5, 10)
FAMILIES = (1, 12)
DRAW_SHARE = 5


def study(size: Size) -> Iterator[Finding]:
    """The true Δ is the pool's; the bar applies where it is negative and at least the median of the printed
    minimum detectable effects."""
    draws = max(1, size.draws // DRAW_SHARE)
    pools = [
        (arm, budget, runs.differences([arm], [budget], range(size.seeds)))
        for arm, budget in product(HARM, runs.BUDGETS)
    ]
    for (arm, budget, pool), seeds in watched(list(product(pools, SEEDS)), "power: planted harm"):
        yield from detection(pool, seeds, draws, f"{arm}, {budget} labels, K={seeds}")


def detection(pool: np.ndarray, seeds: int, draws: int, setting: str) -> Iterator[Finding]:
    """How often experiments drawn from pool [1, S, N] are called negative, alone and as the first step of a
    family of twelve.

    `at the minimum`, held to no bar: the same, had the harm been exactly the median printed minimum
    detectable effect."""
    truth = float(pool.mean())
    rng = generator("calibration", "power", setting)
    drawn = [Layout(next(cells)).effects() for cells in resampled(pool, seeds, pool.shape[2], draws, rng)]
    delta = np.concatenate([effects.delta for effects in drawn])
    for m in FAMILIES:
        half = np.concatenate([effects.half(ALPHA / m) for effects in drawn])
        mde = float(np.median(np.concatenate([effects.minimum_detectable(ALPHA / m) for effects in drawn])))
        rate, promised = float(np.mean(delta < -half)), truth <= -mde
        at_minimum = float(np.mean(delta - truth - mde < -half))
        detail = {
            "true delta": truth,
            "minimum detectable": mde,
            "promised": "yes" if promised else "no",
            "at the minimum": at_minimum,
        }
        yield Finding(
            "power",
            f"{setting}, family of {m}",
            POWER,
            rate,
            rate >= POWER or not promised,
            draws,
            "component-wise t",
            detail,
        )
