"""What is claimed of a cell, and how sure one may be. Pure functions of arrays; nothing here knows of runs or files.

The design is fully crossed, random seeds × random test items, and paired: d[s, i] = score of the strategy − score of the baseline for
seed s on item i. It is the multi-reader multi-case design of radiology (Dorfman, Berbaum & Metz 1992; Obuchowski & Rockette 1995; Hillis
2007). The interval adds the two components with a t quantile each (Banerjee 1960): its coverage is at least nominal at every level, and
verdicts are made at levels far below 0.05, where Satterthwaite's degrees of freedom fail.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, stdtrit

SMALLEST_P = 1e-15  # smaller p-values are reported as this
MINIMUM_CLASS = 10  # test items (or groups) in the smallest class below which nothing is called equivalent
SEEDS_WITHIN_REACH = 100  # where more would be needed, the reason is the budget
POWER = 0.8  # of the minimum detectable effect


# --- one cell: estimate, interval, p-value ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """Δ of one cell with its two components of variance.

    delta: mean of d, raw. seed_variance A and item_variance C: the shares of the variance of `delta` that fall with more seeds and with
    more items. seeds K ≥ 2. items n: items (or groups), the two pseudo-items not counted.
    """

    delta: float
    seed_variance: float
    item_variance: float
    seeds: int
    items: int

    def half(self, alpha: float) -> float:
        """Half-width at level 1 − alpha: h² = t²(1 − α/2; K − 1) A + t²(1 − α/2; n + 1) C. Always positive for alpha < 1."""
        return math.sqrt(_t(alpha, self.seeds - 1) ** 2 * self.seed_variance + _t(alpha, self.items + 1) ** 2 * self.item_variance)

    def interval(self, alpha: float) -> tuple[float, float]:
        half = self.half(alpha)
        return self.delta - half, self.delta + half

    def p_value(self, x: float = 0.0) -> float:
        """Of "the true difference is x", two-sided: the alpha at which the interval just reaches x, by bisection."""
        gap = abs(self.delta - x)
        low, high = math.log(SMALLEST_P), 0.0
        if gap >= self.half(SMALLEST_P):
            return SMALLEST_P
        for _ in range(60):  # half() falls with alpha
            middle = (low + high) / 2
            low, high = (middle, high) if self.half(math.exp(middle)) > gap else (low, middle)
        return math.exp((low + high) / 2)

    def p_equivalence(self, margin: float) -> float:
        """Of "the true difference is at or beyond ±margin": the alpha at which the interval just fits inside.

        Two one-sided tests, each at alpha / 2, since the interval is two-sided: conservative.
        """
        return max(self.p_value(-margin), self.p_value(margin)) if abs(self.delta) < margin else 1.0

    def minimum_detectable(self, alpha: float) -> float:
        """The true |Δ| that a repetition of this experiment (same seeds, same items) would tell from 0 at level alpha with probability 0.8.

        half(alpha), which the observed difference must exceed, + half(0.4), which it falls short by with probability 0.2.
        """
        return self.half(alpha) + self.half(2 * (1 - POWER))

    def seeds_needed(self, gap: float, alpha: float) -> int | None:
        """Seeds, more than now, at which half(alpha) is expected below `gap`; None where SEEDS_WITHIN_REACH do not suffice."""
        for seeds in range(self.seeds + 1, SEEDS_WITHIN_REACH + 1):
            if replace(self, seed_variance=self.seed_variance * self.seeds / seeds, seeds=seeds).half(alpha) < gap:
                return seeds
        return None

    def items_needed(self, gap: float, alpha: float) -> float:
        """Test items below which the interval stays wider than ±gap however many seeds are run: n z² C / gap²."""
        return self.items * _t(alpha, math.inf) ** 2 * self.item_variance / gap**2 if gap else math.inf


def estimate(d: np.ndarray) -> Effect:
    """d [K, n], differences of seeds and items (or of groups: `group_means`), K ≥ 2, n ≥ 1, on the scale of accuracy (0 to 1).

    Two pseudo-items +w, −w join every seed's row, w² = (2 + Σ c²) / (2 + #{c ≠ 0}), c = means over seeds: with few discordant items the
    interval stays honest, with many it does not change. Equal row means happen by chance, scores being multiples of 1/n, and would give
    A = 0: A is at least what rounding to 1/n hides, (1/n)²/12 a seed.
    """
    d = np.asarray(d, dtype=float)
    if d.ndim != 2 or d.shape[0] < 2 or d.shape[1] < 1:
        raise ValueError(f"differences of at least 2 seeds and 1 item are needed, got shape {d.shape}")
    delta = float(d.mean())
    c = d.mean(axis=0)
    w = math.sqrt((2 + np.sum(c**2)) / (2 + np.count_nonzero(c)))
    d = np.hstack([d, np.full((len(d), 1), w), np.full((len(d), 1), -w)])  # [K, n + 2]
    seeds, n = d.shape
    ms_seed, ms_item, ms_rest = mean_squares(d)
    rounding = 1 / (12 * n**2)
    return Effect(
        delta=delta,
        seed_variance=max(ms_seed / n, rounding) / seeds,
        item_variance=max(ms_item - ms_rest, 0.0) / (seeds * n),
        seeds=seeds,
        items=n - 2,
    )


def mean_squares(d: np.ndarray) -> tuple[float, float, float]:
    """MS_seed, MS_item, MS_rest of d [K, n] in the two-way layout with one observation a place."""
    seeds, n = d.shape
    row, column, grand = d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True), d.mean()
    ms_seed = n * np.sum((row - grand) ** 2) / (seeds - 1)
    ms_item = seeds * np.sum((column - grand) ** 2) / (n - 1)
    ms_rest = np.sum((d - row - column + grand) ** 2) / ((seeds - 1) * (n - 1))
    return float(ms_seed), float(ms_item), float(ms_rest)


def interval(d: np.ndarray, alpha: float) -> tuple[float, float]:
    """Bounds of the mean of d [K, n] at level 1 − alpha."""
    return estimate(d).interval(alpha)


def group_means(scores: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """scores [K, n], groups [n] -> [K, G], groups sorted: items that come in groups (writer, font, patient) count once together."""
    if groups is None:
        return scores
    names, place = np.unique(groups, return_inverse=True)
    member = np.zeros((len(place), len(names)))
    member[np.arange(len(place)), place] = 1.0
    return scores @ member / member.sum(axis=0)


def smallest_class(labels: np.ndarray, groups: np.ndarray | None) -> int:
    """Items (groups where given) in the class that has fewest; classes without a test item are not counted."""
    units = np.arange(len(labels)) if groups is None else groups
    return min(len(np.unique(units[labels == c])) for c in np.unique(labels))


def clopper_pearson(count: int, n: int, alpha: float) -> tuple[float, float]:
    """Exact interval of a rate, count of n."""
    low = float(betaincinv(count, n - count + 1, alpha / 2)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - alpha / 2)) if count < n else 1.0
    return low, high


def _t(alpha: float, df: float) -> float:
    """The 1 − alpha/2 quantile of Student's t, taken in the lower tail, where small alphas keep their digits; df = inf is the normal."""
    return -float(stdtrit(min(df, 1e10), alpha / 2))


# --- a family of cells: verdicts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """One cell's evidence: d [K, units], collapsed runs of either arm [K] (bool), items (or groups) in the smallest class."""

    d: np.ndarray
    strategy_collapsed: np.ndarray
    baseline_collapsed: np.ndarray
    smallest_class: int


@dataclass(frozen=True)
class Judgement:
    """The verdict on one cell. Everything that needs an interval is None with a single seed.

    ci: pointwise, 1 − α. ci_simultaneous: see `judge`. p_adjusted: Holm. without_collapse: delta, ci and seeds of the pairs where neither
    arm collapsed, None where none did. collapse_rate: (count, lowest, highest) of the strategy, Clopper-Pearson.
    """

    delta: float
    ci: tuple[float, float] | None
    ci_simultaneous: tuple[float, float] | None
    p_adjusted: float | None
    verdict: str
    reason: str
    mde: float | None
    no_harm: bool
    no_gain: bool
    material: bool
    few_items: bool
    by_step_down: bool
    collapse_rate: tuple[int, float, float]
    without_collapse: dict | None


def holm(p: Sequence[float], size: int) -> np.ndarray:
    """Holm's adjusted p-values in a family of `size` hypotheses; those of the family that are not in `p` count as p = 1."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, (size - np.arange(len(p))) * p[order]))
    return adjusted


def judge(pairs: Sequence[Pair], margin: float, alpha: float, family_size: int) -> list[Judgement]:
    """Verdicts of one family. `family_size` counts the cells as planned: those without a single run count too.

    A cell's p is the smallest of the claims it may make: "a difference" and "inside ±margin". One with a single seed makes no claim, one
    with a collapse only a negative one, one with few items none of equivalence. A cell is decided where Holm's adjusted p ≤ alpha; where
    both claims pass, the difference is told (`material` says whether it matters).

    `ci_simultaneous` is Δ ± half(alpha / family_size): with probability 1 − alpha these hold for all cells of the family at once.
    Holm's later steps test at larger levels and can decide a cell whose interval still touches 0 (or the margin); such an interval is cut
    where Holm's decision ends it, and `by_step_down` is set, so that the two never contradict each other. What Holm adds is guaranteed for
    one kind of claim: a false "difference" comes up in at most alpha of the families. Differences and equivalences together are bounded
    by 1.5 alpha (0.07 at alpha 0.05 in the worst case found by simulation, cells lying exactly on the margin).
    """
    effects = [estimate(pair.d) if len(pair.d) > 1 else None for pair in pairs]
    p = [_p(pair, effect, margin) for pair, effect in zip(pairs, effects, strict=True)]
    adjusted = holm(p, family_size)
    decided = int(np.sum(adjusted <= alpha))
    ranks = np.argsort(np.argsort(p, kind="stable"))
    levels = alpha / (family_size - np.minimum(ranks, decided))  # at which Holm tested each cell, or stopped before it
    return [
        _judge_one(pair, effect, float(p), margin, alpha, float(level), family_size)
        for pair, effect, p, level in zip(pairs, effects, adjusted, levels, strict=True)
    ]


def _p(pair: Pair, effect: Effect | None, margin: float) -> float:
    if effect is None:
        return 1.0
    if _collapses(pair):
        return effect.p_value() if effect.delta < 0 else 1.0
    if pair.smallest_class < MINIMUM_CLASS:
        return effect.p_value()
    return min(effect.p_value(), effect.p_equivalence(margin))


def _judge_one(pair: Pair, effect: Effect | None, p: float, margin: float, alpha: float, level: float, size: int) -> Judgement:
    few, collapses = pair.smallest_class < MINIMUM_CLASS, _collapses(pair)
    count = int(np.sum(pair.strategy_collapsed))
    always = {
        "delta": float(np.mean(pair.d)),
        "few_items": few,
        "collapse_rate": (count, *clopper_pearson(count, len(pair.d), alpha)),
        "without_collapse": _without_collapse(pair, alpha) if collapses else None,
    }
    if effect is None:
        nothing = dict.fromkeys(("ci", "ci_simultaneous", "p_adjusted", "mde"))
        claims = dict.fromkeys(("no_harm", "no_gain", "material", "by_step_down"), False)
        return Judgement(**always, **nothing, **claims, verdict="undecided", reason="one seed: at least 2 are needed, 5 are advised")

    low, high = effect.interval(alpha / size)
    verdict = "undecided"
    if p <= alpha:
        verdict = "equivalent" if effect.p_value() > level else "positive" if effect.delta > 0 else "negative"
    cut_low, cut_high = {
        "undecided": (low, high),
        "positive": (max(low, 0.0), high),
        "negative": (low, min(high, 0.0)),
        "equivalent": (max(low, -margin), min(high, margin)),
    }[verdict]
    return Judgement(
        **always,
        ci=effect.interval(alpha),
        ci_simultaneous=(cut_low, cut_high),
        p_adjusted=p,
        verdict=verdict,
        reason=_reason(pair, effect, margin, level) if verdict == "undecided" else "",
        mde=effect.minimum_detectable(alpha / size),
        no_harm=verdict in ("positive", "equivalent") or (low > -margin and not few and not collapses),
        no_gain=verdict in ("negative", "equivalent") or (high < margin and not few),
        material=verdict in ("positive", "negative") and (low > margin or high < -margin),
        by_step_down=(cut_low, cut_high) != (low, high),
    )


def _reason(pair: Pair, effect: Effect, margin: float, alpha: float) -> str:
    """Why a cell with an interval is undecided, and what would decide it at the level at which Holm stopped."""
    collapsed = [
        f"{np.sum(runs)} of {len(runs)} {arm} runs"
        for arm, runs in (("strategy", pair.strategy_collapsed), ("baseline", pair.baseline_collapsed))
        if np.any(runs)
    ]
    if collapsed:
        return f"collapse: {' and '.join(collapsed)} collapsed or diverged; such a cell is never positive or equivalent"
    few = pair.smallest_class < MINIMUM_CLASS
    difference, equivalence = abs(effect.delta), margin - abs(effect.delta)
    gap = difference if few else max(difference, equivalence)  # to the nearer of the two claims
    items = effect.items_needed(gap, alpha)
    if items >= effect.items:
        number = (
            ""
            if math.isinf(items)
            else f": equivalence needs n >= {items:,.0f}"
            if gap > difference
            else f": about {items:,.0f} for this Δ"
        )
        reason = f"needs test items, not seeds{number}"
    elif seeds := effect.seeds_needed(gap, alpha):
        reason = f"more seeds: about {seeds} in all"
    else:
        reason = f"budget: more than {SEEDS_WITHIN_REACH} seeds"
    return reason + (f"; few items: fewer than {MINIMUM_CLASS} in the smallest class, never equivalent" if few else "")


def _collapses(pair: Pair) -> bool:
    return bool(np.any(pair.strategy_collapsed) or np.any(pair.baseline_collapsed))


def _without_collapse(pair: Pair, alpha: float) -> dict | None:
    """Δ given no collapse: beside the verdict, never instead of it, for it selects on the outcome."""
    d = pair.d[~(np.asarray(pair.strategy_collapsed) | np.asarray(pair.baseline_collapsed))]
    if len(d) == 0:
        return None
    return {"delta": float(d.mean()), "ci": interval(d, alpha) if len(d) > 1 else None, "seeds": len(d)}
