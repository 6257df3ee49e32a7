"""Training that has not finished: learning curves of known asymptotes, judged at the step where training
stopped.

What is missing to the asymptote falls with the learning rate that is spent, be it constant or a cosine. An
item is right where its latent difficulty lies below the curve's level; difficulty has a part that all runs
share, one of the arm, one of the run and one of the evaluation."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.special import ndtri

from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, watched
from transferscope.comparison.plateau import Rise, evenly, rise
from transferscope.data.splits import generator
from transferscope.statistics.verdict import Pair, judge

ITEMS = 500
SMALLEST_CLASS = 50
SHARE = 20  # one experiment for so many draws of a point: each is judged by itself
POINTS = ((5, 4, "cosine"), (5, 11, "constant"), (10, 11, "cosine"))  # seeds, evaluations, schedule
START, ASYMPTOTE = 0.1, 0.75
# of the asymptote, shared by the arms or not, and of the logarithm of the rate, over seeds
SUBSET_SD, ARM_SD, RATE_SD = (0.02, 0.015, 0.2)
# of the variance of an item's difficulty; all runs share the half of it
ARM_PART, RUN_PART, EVALUATION_PART = (0.1, 0.3775, 0.0225)
FINISHED = 8.0
FAR = "far from done"
RATES = {"nearly done": 4.0, "not done": 2.5, FAR: 1.2}  # 1, 5 and 20 points are still to come
POWER_FINISHED, POWER_SLOW = 64.0, 9.0  # 1 and 7 points
GAPS = (0.03, 0.10, 0.25)
LENGTHS = (1, 2, 4)
KEPT = 0.8  # of the gaps that are told over a finished baseline


def exponential(rate: np.ndarray, spent: np.ndarray) -> np.ndarray:
    return np.exp(-rate * spent)


def power_law(rate: np.ndarray, spent: np.ndarray) -> np.ndarray:
    """Half with each doubling, in the end: a third tells little of what is to come."""
    return 1 / (1 + rate * spent)


@dataclass(frozen=True)
class World:
    """Two arms: rates at which what is missing to the asymptote falls over a training, and how far the
    strategy's asymptote lies above the baseline's. times: of the planned steps."""

    strategy: float
    baseline: float
    gap: float = 0.0
    evaluations: int = 11
    schedule: str = "constant"
    missing: Callable[[np.ndarray, np.ndarray], np.ndarray] = exponential
    times: int = 1


@dataclass(frozen=True)
class Experiment:
    """d [K, n] at the last evaluation, and how both trainings end. barred: whether the baseline still rose
    over the last third of its steps."""

    d: np.ndarray
    strategy: Rise
    baseline: Rise
    barred: bool

    def pair(self) -> Pair:
        rising = self.strategy.is_rising, self.baseline.is_rising
        return replace(
            self.plain(),
            strategy_remaining=self.strategy.remaining,
            baseline_remaining=self.baseline.remaining,
            rising=rising,
        )

    def plain(self) -> Pair:
        """As if both arms had finished."""
        never = np.zeros(len(self.d), bool)
        return Pair(self.d, never, never, SMALLEST_CLASS)

    def former(self) -> Pair:
        """By the rule there was: a baseline rising over its last steps bars every gain, a rising strategy
        nothing."""
        return replace(self.plain(), baseline_remaining=math.inf if self.barred else 0.0)


def experiment(worlds: list[World], seeds: int, rng: np.random.Generator) -> list[Experiment]:
    """The same seeds and items at every one of these lengths, all else drawn anew, as in a training from the
    start."""
    difficulty = math.sqrt(0.5) * rng.standard_normal(ITEMS)
    arms = [difficulty + math.sqrt(ARM_PART) * rng.standard_normal(ITEMS) for _ in range(2)]
    subset = SUBSET_SD * rng.standard_normal((seeds, 1))
    found = []
    for world in worlds:
        spent = world.times * evenly(range(world.evaluations), world.schedule).spent
        last, curves = [], []
        for arm, rate, sign in zip(arms, (world.strategy, world.baseline), (1, -1), strict=True):
            asymptote = ASYMPTOTE + sign * world.gap / 2 + subset + ARM_SD * rng.standard_normal((seeds, 1))
            rates = rate * np.exp(RATE_SD * rng.standard_normal((seeds, 1)))
            level = ndtri(
                np.clip(asymptote - (asymptote - START) * world.missing(rates, spent), 0.01, 0.99)
            )  # [K, evaluations]
            run = arm + math.sqrt(RUN_PART) * rng.standard_normal((seeds, ITEMS))
            noise = math.sqrt(EVALUATION_PART) * rng.standard_normal((seeds, world.evaluations, ITEMS))
            right = run[:, None] + noise < level[..., None]  # [K, evaluations, n]
            last.append(right[:, -1].astype(float))
            curves.append(right.mean(axis=2).tolist())
        ends = [rise([evenly(curve, world.schedule) for curve in some]) for some in curves]
        found.append(Experiment(last[0] - last[1], *ends, rise(list(map(evenly, curves[1]))).is_rising))
    return found


def study(size: Size) -> Iterator[Finding]:
    count = max(1, size.draws // SHARE)
    for point in watched(POINTS, "training that has not finished"):
        for part in (equal_asymptotes, gaps, settled):
            yield from part(*point, count)


def equal_asymptotes(seeds: int, evaluations: int, schedule: str, count: int) -> Iterator[Finding]:
    """One arm slower than the other: whatever difference is told is false. Far from done, and where a power
    law's tail is to come that no third foretells, what is measured is a limit."""
    worlds = [(f"exponential, {state}", exponential, rate, FINISHED) for state, rate in RATES.items()]
    worlds.append(("power law, not done", power_law, POWER_SLOW, POWER_FINISHED))
    for (name, missing, slow, fast), claim in product(worlds, ("negative", "positive")):
        strategy, baseline = (slow, fast) if claim == "negative" else (fast, slow)
        setting = (
            f"equal asymptotes, {'strategy' if claim == 'negative' else 'baseline'} slower ({name}), "
            f"{at(seeds, evaluations, schedule)}"
        )
        rates = claim_rates(
            World(strategy, baseline, 0.0, evaluations, schedule, missing), claim, seeds, count, setting
        )
        yield finding(f"{setting}: {claim}", ALPHA, rates, count, FAR in name or missing is power_law)


def gaps(seeds: int, evaluations: int, schedule: str, count: int) -> Iterator[Finding]:
    """A true gap over a baseline that still rises, beside the same over one that has finished. Three points,
    and a baseline far from done, are a limit."""
    for gap in GAPS:
        setting = f"gap of {100 * gap:.0f} points, {at(seeds, evaluations, schedule)}"
        finished = claim_rates(
            World(FINISHED, FINISHED, gap, evaluations, schedule), "positive", seeds, count, setting
        )["now"]
        for state, rate in RATES.items():
            rates = claim_rates(
                World(FINISHED, rate, gap, evaluations, schedule),
                "positive",
                seeds,
                count,
                f"{setting}, {state}",
            )
            is_limit = state == FAR or gap == min(GAPS)
            more = {"over a finished baseline": finished}
            yield finding(
                f"{setting}, baseline {state}: positive",
                KEPT * finished,
                rates | more,
                count,
                is_limit,
                at_least=True,
            )


def settled(seeds: int, evaluations: int, schedule: str, count: int) -> Iterator[Finding]:
    """The same trained for 2 and 4 times the steps as long as that bars a claim: a difference of equal
    asymptotes is false, a gap is not."""
    for gap, slow, state in ((0.0, "strategy", "not done"), (0.10, "baseline", FAR)):
        what = f"gap of {100 * gap:.0f} points" if gap else "equal asymptotes"
        setting = f"{what}, {slow} slower (exponential, {state}), settled, {at(seeds, evaluations, schedule)}"
        rng = generator("calibration", "unfinished", setting)
        rates = {"strategy": FINISHED, "baseline": FINISHED, slow: RATES[state]}
        worlds = [
            World(**rates, gap=gap, evaluations=evaluations, schedule=schedule, times=times)
            for times in LENGTHS
        ]
        ends = []
        for _ in range(count):
            lengths = zip(LENGTHS, experiment(worlds, seeds, rng), strict=True)
            ends.append(
                next(
                    (times, found) for times, found in lengths if times == LENGTHS[-1] or not is_barred(found)
                )
            )
        claim_rates = np.mean(
            [
                verdict_of(found.pair()) in (("positive",) if gap else ("positive", "negative"))
                for _, found in ends
            ]
        )
        barred = np.mean([is_barred(found) for _, found in ends])
        measured = {
            "now": float(claim_rates),
            "mean length": float(np.mean([times for times, _ in ends])),
            "still barred": float(barred),
        }
        nominal, claim = (KEPT, "positive") if gap else (ALPHA, "different")
        yield finding(f"{setting}: {claim}", nominal, measured, count, is_limit=False, at_least=gap > 0)


def at(seeds: int, evaluations: int, schedule: str) -> str:
    return f"K={seeds}, {evaluations} evaluations, {schedule}"


def claim_rates(world: World, claim: str, seeds: int, count: int, setting: str) -> dict[str, float]:
    """How often the claim is made: by the rule, by the one there was before, and by none."""
    rng = generator("calibration", "unfinished", setting)
    made = {"now": 0, "before": 0, "no rule": 0}
    for _ in range(count):
        [found] = experiment([world], seeds, rng)
        for name, pair in zip(made, (found.pair(), found.former(), found.plain()), strict=True):
            made[name] += verdict_of(pair) == claim
    return {name: number / count for name, number in made.items()}


def verdict_of(pair: Pair) -> str:
    return judge([pair], MARGIN, ALPHA, 1)[0].verdict


def is_barred(found: Experiment) -> bool:
    """As `compare` tells `run --settle`."""
    return verdict_of(found.pair()) == "undecided" != verdict_of(found.plain())


def finding(
    setting: str, nominal: float, rates: dict[str, float], count: int, is_limit: bool, at_least: bool = False
) -> Finding:
    """rates: "now" is held to `nominal` and three Monte-Carlo standard errors."""
    measured, slack = rates.pop("now"), 3 * math.sqrt(nominal * (1 - nominal) / count)
    bar = nominal - slack if at_least else nominal + slack
    holds = measured >= bar if at_least else measured <= bar
    return Finding(
        "unfinished",
        setting,
        nominal,
        measured,
        holds,
        count,
        "projected rise",
        {"bar": bar, **rates},
        limit=is_limit,
    )
