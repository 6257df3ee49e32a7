"""Errors of predicted numbers, clipped at the cap of their target: coverage of the intervals of the mean
absolute error and of the root of the mean squared error."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product

import numpy as np
from scipy.optimize import brentq

from transferscope.calibration.findings import Finding, Size, watched
from transferscope.calibration.many import Effects, Layout, Sums
from transferscope.calibration.resampling import chunks
from transferscope.calibration.tally import Tally
from transferscope.comparison.pairing import of_one_error
from transferscope.data.splits import generator
from transferscope.tasks.metrics import Errors

SEEDS = (3, 5, 10)
ITEMS = (50, 200, 1000)
DRAW_SHARE = 2
TRAINING_ITEMS = 100_000  # of a target, from which its cap is
TRUTH = (8_000, 1_000)  # experiments of one seed, and their items: the sample that a true difference is from
BALANCING_ITEMS = 400_000
QUALITY = {3: 10, 4: 53, 5: 681, 6: 638, 7: 199, 8: 18}  # wines of each
METHODS = {"mae": "component-wise t", "rmse": "component-wise t, jackknife"}


@dataclass(frozen=True)
class Arm:
    """How far its predictions are off. spread: the standard deviation of the errors, in the target's (of a
    lognormal target: in the item's own number, so that errors grow with it). offset, seed_sd: what all errors
    are off by, and those of a seed, in spreads; bad_seeds: the share of the seeds that are off by `BAD`.
    rare: the share of the items whose error is `size` spreads in every seed."""

    spread: float = 0.5
    offset: float = 0.0
    seed_sd: float = 0.0
    bad_seeds: float = 0.0
    rare: float = 0.0
    size: float = 10.0


BAD = 3.0
AT_THE_CAP = 1e6  # spreads


@dataclass(frozen=True)
class Kind:
    """shares: of the variance of errors, what an item has in both arms, in one arm, and in one run. tail:
    whether errors are normal, as long-tailed as a lognormal, or rounded to whole numbers. groups: items of
    each group, 0 for 1 to 19; half of what items have for good is their group's."""

    strategy: Arm
    baseline: Arm = field(default_factory=Arm)
    target: str = "normal"
    tail: str = "normal"
    shares: tuple[float, float, float] = (0.5, 0.2, 0.3)
    groups: int = 1
    limit: bool = False

    @property
    def is_null(self) -> bool:
        return self.strategy == self.baseline


def numbers(target: str, items: int, rng: np.random.Generator) -> np.ndarray:
    """[items]"""
    if target == "quality":
        share = np.array(list(QUALITY.values())) / sum(QUALITY.values())
        return rng.choice(np.array(list(QUALITY), dtype=float), size=items, p=share)
    normal = rng.standard_normal(items)
    return np.exp(normal) if target == "lognormal" else normal


@cache
def cap(target: str) -> float:
    rng = generator("calibration", "errors", "cap", target)
    return Errors.of(["number"], "", numbers(target, TRAINING_ITEMS, rng)[:, None]).cap


@cache
def balanced(metric: str, rare: float, spread: float, target: str = "normal") -> Arm:
    """As good, by the metric, as an arm of normal errors of this spread, with a share of the items at the cap
    and smaller errors on all others."""
    rng, bound = generator("calibration", "errors", "balanced"), cap(target)
    size = np.abs(rng.standard_normal(BALANCING_ITEMS))
    size = size * np.exp(rng.standard_normal(BALANCING_ITEMS)) if target == "lognormal" else size
    power = 1 if metric == "mae" else 2

    def mean(some: float) -> float:
        return float(np.mean(np.minimum(some * size, bound) ** power))

    found = brentq(lambda some: (1 - rare) * mean(some) + rare * bound**power - mean(spread), 0.0, spread)
    return at_the_cap(found, rare)


def at_the_cap(spread: float, rare: float) -> Arm:
    """A share of its items there in every seed."""
    return Arm(spread, rare=rare, size=AT_THE_CAP)


def kinds() -> dict[str, Kind]:
    same = Arm()
    huge = Arm(rare=0.01)
    differing = Arm(seed_sd=0.3)
    identical, independent = (0.99, 0.0, 0.01), (0.0, 0.5, 0.5)
    small = Arm(0.025)
    usual = {
        "null": Kind(same),
        "gain: errors 0.8 times as large": Kind(Arm(0.4)),
        "harm: all off by half a spread": Kind(Arm(offset=0.5)),
        "null: long tails": Kind(same, tail="lognormal"),
        "harm: long tails, errors 1.25 times as large": Kind(Arm(0.625), tail="lognormal"),
        "null: 1 % at ten spreads": Kind(huge, huge),
        "harm: 1 % at ten spreads": Kind(huge),
        "null: seeds differ": Kind(differing, differing),
        "gain: seeds differ, errors 0.8 times as large": Kind(replace(differing, spread=0.4), differing),
    }
    shapes = {
        f"equal {metric}: {100 * rare:g} % at the cap, all others smaller": (metric, rare)
        for metric, rare in product(("mae", "rmse"), (0.003, 0.01))
    }
    return {
        **{f"{name}, {target}": replace(kind, target=target)
           for target, (name, kind) in product(("normal", "lognormal"), usual.items())},
        **{f"{name}, {target}": Kind(balanced(metric, rare, 0.5, target), target=target)
           for target, (name, (metric, rare)) in product(("normal", "lognormal"), shapes.items())},
        "null: arms nearly identical": Kind(same, shares=identical),
        "gain: arms nearly identical, errors 0.95 times as large": Kind(Arm(0.475), shares=identical),
        "null: arms independent": Kind(same, shares=independent),
        "gain: arms independent, errors 0.8 times as large": Kind(Arm(0.4), shares=independent),
        "null: whole numbers": Kind(same, target="quality", tail="whole"),
        "gain: whole numbers, errors 0.8 times as large": Kind(Arm(0.4), target="quality", tail="whole"),
        "null: errors a hundredth of the cap": Kind(small, small),
        "gain: errors a hundredth of the cap, and 0.8 times as large": Kind(Arm(0.02), small),
        "gain: errors a hundredth of the cap against a fifth": Kind(small),
        "gain: errors a tenth of the cap against a fifth": Kind(Arm(0.25)),
        "harm: errors a hundredth of the cap, 0.3 % at the cap": Kind(at_the_cap(0.025, 0.003), small),
        "harm: errors a hundredth of the cap, 1 % at the cap": Kind(at_the_cap(0.025, 0.01), small),
        "gain: errors a hundredth of the cap, 1 % at the cap, against a fifth": Kind(at_the_cap(0.025, 0.01)),
        "gain: errors a tenth of the cap, 1 % at the cap, against a fifth": Kind(at_the_cap(0.25, 0.01)),
        "harm: errors a fifth of the cap, 0.5 % at the cap": Kind(at_the_cap(0.5, 0.005)),
        "null: errors a hundredth of the cap, 0.5 % at the cap": Kind(
            at_the_cap(0.025, 0.005), at_the_cap(0.025, 0.005)
        ),
        "null: all but 0.2 % at the cap": Kind(Arm(1000), Arm(1000)),
        "harm: all but 0.2 % at the cap": Kind(Arm(1000)),
        "null: groups of 5": Kind(same, groups=5),
        "gain: groups of 5, errors 0.8 times as large": Kind(Arm(0.4), groups=5),
        "null: groups of 1 to 19": Kind(same, groups=0),
        "equal mae: groups of 5, 1 % at the cap, all others smaller": Kind(
            balanced("mae", 0.01, 0.5), groups=5
        ),
        "one bad seed in ten": Kind(Arm(bad_seeds=0.1), limit=True),
    }  # fmt: skip


def study(size: Size) -> Iterator[Finding]:
    draws = max(1, size.draws // DRAW_SHARE)
    for name, kind in watched(list(kinds().items()), "errors of numbers"):
        true = truths(name, kind)
        for seeds, items in product(SEEDS, ITEMS):
            yield from held_against(name, kind, true, seeds, items, draws)


def held_against(
    name: str, kind: Kind, true: dict[str, float], seeds: int, items: int, draws: int
) -> Iterator[Finding]:
    setting = f"{name}, K={seeds} n={items}"
    rng, tallies = generator("calibration", "errors", setting), {m: Tally(true[m]) for m in METHODS}
    for count in chunks(draws, seeds * items):
        arms = absolute(kind, seeds, items, count, rng)
        for metric, (sums, effects) in judged(*arms, cap(kind.target)).items():
            tallies[metric].add(effects, sums.plain())
    for metric, tally in tallies.items():
        yield from tally.findings("errors", f"{metric}, {setting}", METHODS[metric], limit=kind.limit)


def truths(name: str, kind: Kind) -> dict[str, float]:
    """Δ of a large sample of the same law; 0 where the arms are alike."""
    if kind.is_null:
        return dict.fromkeys(METHODS, 0.0)
    rng, (draws, items) = generator("calibration", "errors", "truth", name), TRUTH
    total = np.zeros(len(METHODS))
    for count in chunks(draws, items):
        *sums, _ = differences(*absolute(kind, 1, items, count, rng), cap(kind.target))
        total += [of.delta.sum() for of in sums]
    return dict(zip(METHODS, (total / draws).tolist(), strict=True))


def absolute(
    kind: Kind, seeds: int, items: int, draws: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Absolute errors of strategy and baseline [B, K, n], not yet clipped, and where groups of them start."""
    sizes = np.ones(items, int)
    if kind.groups != 1:
        sizes = np.resize([kind.groups] if kind.groups else np.arange(1, 20, 2), items)
        sizes = sizes[: np.searchsorted(sizes.cumsum(), items, side="right")]
    n = int(sizes.sum())

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal((draws, *shape), dtype=np.float32)

    def lasting() -> np.ndarray:
        own = normal(1, n)
        if kind.groups == 1:
            return own
        both: np.ndarray = own + np.repeat(normal(1, len(sizes)), sizes, axis=2)
        return both * np.float32(0.5**0.5)

    in_both, in_one, in_run = np.sqrt(kind.shares, dtype=np.float32)
    shared, scale = in_both * lasting(), np.exp(lasting()) if kind.target == "lognormal" else np.float32(1)
    found = []
    for arm in (kind.strategy, kind.baseline):
        error = in_run * normal(seeds, n)
        error += shared + in_one * lasting()
        if kind.tail == "lognormal":
            error = np.sign(error) * np.expm1(np.abs(error))
        off = np.float32(arm.offset) + np.float32(arm.seed_sd) * normal(seeds, 1)
        off += np.float32(BAD) * (rng.random(off.shape) < arm.bad_seeds)
        error = np.abs((error + off) * (np.float32(arm.spread) * scale))
        if kind.tail == "whole":
            error = np.round(error)
        if arm.rare:
            is_rare = rng.random((draws, 1, n), dtype=np.float32) < arm.rare
            error = np.where(is_rare, np.float32(arm.size * arm.spread) * scale, error)
        found.append(error)
    return found, np.r_[0, sizes.cumsum()[:-1]]


def judged(arms: list[np.ndarray], starts: np.ndarray, bound: float) -> dict[str, tuple[Sums, Effects]]:
    """Of both metrics, as `pairing.tested` has them of `Errors` with this cap."""
    size, root, least = differences(arms, starts, bound)
    return {
        "mae": (size, size.effects(bound / 2)),
        "rmse": (root, root.effects(of_one_error(bound, least, len(starts)))),
    }


def differences(arms: list[np.ndarray], starts: np.ndarray, bound: float) -> tuple[Sums, Sums, np.ndarray]:
    """Of clipped errors, and of the pseudo-values of their root mean square, which itself comes last, of the
    arm where it is smaller [B]."""
    clipped = [np.minimum(arm, bound).astype(float) for arm in arms]
    size = np.diff(np.r_[starts, clipped[0].shape[2]])

    def units(scores: np.ndarray) -> np.ndarray:
        return scores if len(size) == scores.shape[2] else np.add.reduceat(scores, starts, axis=2) / size

    strategy, baseline = (pseudo_values(units(arm**2)) for arm in clipped)
    least = np.minimum(strategy.mean(axis=(1, 2)), baseline.mean(axis=(1, 2)))
    return Layout(units(clipped[1] - clipped[0])).sums, Layout(baseline - strategy).sums, least


def pseudo_values(squared: np.ndarray) -> np.ndarray:
    """Of the root of the mean of squared errors [B, K, n]: those of `tasks.metrics`, without their sign."""
    n, total = squared.shape[2], squared.sum(axis=2, keepdims=True)
    without = np.sqrt((total - squared).clip(0) / (n - 1))
    found: np.ndarray = n * np.sqrt(total / n) - (n - 1) * without
    return found
