"""What is claimed of the cells of one family. Pure functions of arrays; the estimate of one cell is in
`effect.py`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from transferscope.statistics.effect import (
    SEEDS_WITHIN_REACH,
    Effect,
    clopper_pearson,
    estimate,
    estimate_over_items,
    estimate_over_seeds,
    group_means,
    interval,
    mean_squares,
    smallest_class,
)
from transferscope.statistics.seeds import Agreement, agreement

__all__ = [
    "Effect", "Judgement", "Pair", "benjamini_hochberg", "clopper_pearson", "estimate", "group_means", "holm",
    "interval", "judge", "mean_squares", "smallest_class",
]  # fmt: skip

MINIMUM_CLASS = 10  # test items (or groups) in the smallest class below which nothing is called equivalent
# by which the level falls with each reading of a cell whose seeds grew after it: α + α/5 + α/25 + … ≤ 1.25 α
PRICE_OF_A_READING = 5
FEW_ITEMS_DF = 10.0  # degrees of freedom of the item part below which a verdict hangs on few items
TOP_SHARE, TOP_WEIGHT = 0.01, 0.2  # or so large a share of the deviations on so small a share of the items
COLLAPSE, ONE_SEED = "collapse", "one seed"
BASELINE_IMPROVING, STRATEGY_IMPROVING, BOTH_IMPROVING = "baseline rising", "strategy rising", "both rising"
STILL_IMPROVING = {
    BASELINE_IMPROVING: "the baseline was still improving: train it longer",
    STRATEGY_IMPROVING: "the strategy was still improving: train it longer",
    BOTH_IMPROVING: "both arms were still improving: train them longer",
}


@dataclass(frozen=True)
class Pair:
    """One cell's evidence: d [K, units], collapsed runs of either arm [K] (bool), items (or groups) in the
    smallest class.

    chance: what is left to it. `both`: seeds and items; `seeds`: these very items are meant; `items`: no seed
    changes either arm, the rows of d are one. unit, influence: of `estimate`. span: the largest |d| there can
    be. strategy_remaining, baseline_remaining: by how much the arm would yet rise if it were trained on, as
    projected, in the unit of d; 0 where its training had finished. rising: whether strategy and baseline
    still rose by more than matters when their training stopped. readings: how often the cell was read before
    its seeds grew.
    baseline_learnt_nothing: all its runs, at least five, are at chance and none of the strategy's has
    collapsed; d is then to the better of the baseline and the naive predictor."""

    d: np.ndarray
    strategy_collapsed: np.ndarray
    baseline_collapsed: np.ndarray
    smallest_class: int
    chance: str = "both"
    influence: float | None = None
    unit: float = 1.0
    span: float = math.inf
    strategy_remaining: float = 0.0
    baseline_remaining: float = 0.0
    rising: tuple[bool, bool] = (False, False)
    readings: int = 0
    baseline_learnt_nothing: bool = False

    @property
    def few(self) -> bool:
        return self.smallest_class < MINIMUM_CLASS and self.chance != "seeds"

    @property
    def collapses(self) -> bool:
        return bool(np.any(self.strategy_collapsed) or np.any(self.baseline_collapsed))

    @property
    def barred_sign(self) -> int:
        """Of the difference that a collapse keeps from being told: a gain; below the naive predictor a loss,
        which is none against the baseline."""
        return 0 if not self.collapses else -1 if self.baseline_learnt_nothing else 1

    @property
    def unfinished(self) -> bool:
        return any(self.rising)

    @property
    def bars_equivalence(self) -> bool:
        return self.few or self.collapses or self.unfinished

    @property
    def price(self) -> int:
        """What its p-values are multiplied by, and its levels divided by."""
        return int(PRICE_OF_A_READING**self.readings)

    def effect(self) -> Effect | None:
        """None with a single seed where seeds matter."""
        if self.chance == "items":
            return estimate_over_items(self.d[0], self.unit, self.influence)
        if len(self.d) < 2:
            return None
        return (
            estimate_over_seeds(self.d, self.unit)
            if self.chance == "seeds"
            else estimate(self.d, self.unit, self.influence)
        )

    def p_difference(self, effect: Effect) -> float:
        """Of the claim of a difference in the direction of Δ: that it is larger than what the other arm's
        training would yet make up for."""
        remaining = self.remaining(effect.delta)
        if self.barred_sign * effect.delta > 0 or 0 < abs(effect.delta) <= remaining:
            return 1.0
        return effect.p_value(math.copysign(remaining, effect.delta) if effect.delta else 0.0)

    def p_equivalence(self, effect: Effect, margin: float) -> float:
        return 1.0 if self.bars_equivalence else effect.p_equivalence(margin)

    def remaining(self, delta: float) -> float:
        """Of the arm that lies behind."""
        return self.baseline_remaining if delta > 0 else self.strategy_remaining

    def side(self, level: float) -> int:
        """Of zero, that its interval at this level shows Δ to be on and that no rule keeps the pair from
        claiming: 1, −1, else 0."""
        if (effect := self.effect()) is None:
            return 0
        low, high = effect.interval(level / self.price)
        found = 1 if low > self.baseline_remaining else -1 if high < -self.strategy_remaining else 0
        return 0 if found == self.barred_sign else found

    def is_saturated(self, effect: Effect, margin: float, levels: Sequence[float]) -> bool:
        """Whether the test items alone keep either claim from being made, however many seeds there are, Δ
        allowed to move by √A."""
        drift, size = math.sqrt(effect.seed_variance), abs(effect.delta)
        return effect.item_half(levels[0]) >= size + drift and (
            self.bars_equivalence or effect.item_half(levels[1]) >= margin - max(size - drift, 0.0)
        )

    def hangs_on_few_items(self, effect: Effect) -> bool:
        if self.chance == "seeds":
            return False
        c = np.abs(self.d.mean(axis=0) - self.d.mean())
        top = np.sort(c)[::-1][: math.ceil(TOP_SHARE * len(c))]
        return effect.item_df < FEW_ITEMS_DF or top.sum() > TOP_WEIGHT * c.sum()


class WithoutCollapse(TypedDict):
    """Δ of the seeds without a collapse; ci None with a single one."""

    delta: float
    ci: tuple[float, float] | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on one cell. Everything that needs an interval is None with a single seed.

    ci: pointwise, 1 − α. ci_simultaneous: see `judge`. p_difference, p_equivalence: of either claim,
    adjusted. p_adjusted: of the claim that is made, the smaller of the two where none is; None where a rule,
    `overruled`, has barred what Δ points to. without_collapse: delta, ci and seeds of the pairs where neither
    arm collapsed, None where none did. collapse_rate: (count, lowest, highest) of the strategy,
    Clopper-Pearson. mde: None where it lies beyond the metric's range. seed_half, item_half: half-width at
    the cell's level with test items, and with seeds, without end. agreement: of the seeds, None where no seed
    changes anything."""

    delta: float
    ci: tuple[float, float] | None = None
    ci_simultaneous: tuple[float, float] | None = None
    p_difference: float | None = None
    p_equivalence: float | None = None
    p_adjusted: float | None = None
    overruled: str
    verdict: str
    reason: str
    mde: float | None = None
    seed_half: float | None = None
    item_half: float | None = None
    no_harm: bool = False
    no_gain: bool = False
    material: bool = False
    few_items: bool
    hangs_on_few_items: bool = False
    by_step_down: bool = False
    agreement: Agreement | None = None
    collapse_rate: tuple[int, float, float]
    without_collapse: WithoutCollapse | None


def holm(p: Sequence[float] | np.ndarray, size: int) -> np.ndarray:
    """Holm's adjusted p-values in a family of `size` hypotheses; those of the family that are not in `p`
    count as p = 1."""
    order = np.argsort(p, kind="stable")
    ordered = np.asarray(p, dtype=float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, (size - np.arange(len(p))) * ordered))
    return adjusted


def benjamini_hochberg(p: Sequence[float] | np.ndarray, size: int) -> np.ndarray:
    """Benjamini & Hochberg's adjusted p-values in a family of `size` hypotheses; those that are not in `p`
    count as p = 1."""
    order = np.argsort(p, kind="stable")
    ordered = np.asarray(p, dtype=float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(
        1.0, np.minimum.accumulate((size * ordered / np.arange(1, len(p) + 1))[::-1])[::-1]
    )
    return adjusted


CORRECTIONS = {"holm": holm, "bh": benjamini_hochberg}


@dataclass(frozen=True)
class Procedures:
    """Of one family: differences first, equivalences second. adjusted: p-values. levels: at which either
    stopped. simultaneous: at which intervals hold together."""

    adjusted: list[np.ndarray]
    levels: list[float]
    simultaneous: list[float]


def procedures(
    claims: Sequence[Sequence[float]], sizes: tuple[int, int], alpha: float, correction: str
) -> Procedures:
    """claims: p-values of differences, and of equivalences. sizes: of the two families."""
    adjusted = [CORRECTIONS[correction](p, size) for p, size in zip(claims, sizes, strict=True)]
    decided = [int(np.sum(p <= alpha)) for p in adjusted]
    if correction == "holm":
        levels = [alpha / max(size - count, 1) for size, count in zip(sizes, decided, strict=True)]
        return Procedures(adjusted, levels, [alpha / max(sizes[0], 1)] * 2)
    levels = [alpha * max(count, 1) / max(size, 1) for size, count in zip(sizes, decided, strict=True)]
    return Procedures(adjusted, levels, levels)


def told(delta: float, p: tuple[float, float], alpha: float) -> str:
    """The verdict. p: adjusted, of a difference and of an equivalence."""
    if p[0] <= alpha:
        return "positive" if delta > 0 else "negative"
    return "equivalent" if p[1] <= alpha else "undecided"


def level_of(verdict: str, simultaneous: Sequence[float]) -> float:
    return {"equivalent": simultaneous[1], "undecided": min(simultaneous)}.get(verdict, simultaneous[0])


def cut(bounds: tuple[float, float], verdict: str, margin: float) -> tuple[float, float]:
    """The interval, ended where the verdict ends it: a later step of Holm's decides at a larger level."""
    low, high = bounds
    return {
        "undecided": (low, high),
        "positive": (max(low, 0.0), high),
        "negative": (low, min(high, 0.0)),
        "equivalent": (max(low, -margin), min(high, margin)),
    }[verdict]


def judge(
    pairs: Sequence[Pair],
    margin: float | Sequence[float],
    alpha: float,
    family_size: int,
    correction: str = "holm",
    equivalence_size: int | None = None,
) -> list[Judgement]:
    """Verdicts of one family. `family_size` counts the cells as planned: those without a single run count
    too. margin: one, or one a pair.

    Two procedures, each over the whole family and with a count of its own: one for "a difference", one for
    "inside ±margin". equivalence_size: the count of the latter where it is another than family_size (a later
    look: what was decided before has left one of the two). A cell whose adjusted p_difference ≤ alpha is told
    by its sign; `equivalent` is told by p_equivalence where no difference is. A claim that a rule forbids
    enters with p = 1: both of a single seed, equivalence and gains of a cell with a collapse, equivalence of
    one with few items or unfinished training. Where the arm behind was still improving, the claim is that Δ
    is larger than its projected rise. A cell that was read before its seeds grew pays for each reading: its p
    times 5 (`Pair.readings`).

    One procedure over the smaller of the two p-values, as this function had it, tells truly equal cells
    "different" in 28 to 37 % of families on 5,000 items: each equivalence that is told makes the next test of
    a difference easier.

    `holm`: a false "difference" comes up in at most alpha of the families, a false "equivalent" in at most
    alpha, whatever the dependence. `ci_simultaneous` is Δ ± half(alpha / family_size): with probability 1 −
    alpha these hold for all cells of the family at once. Holm's later steps test at larger levels and can
    decide a cell whose interval still touches 0 (or the margin); such an interval is cut where that decision
    ends it, and `by_step_down` is set, so that the two never contradict each other.

    `bh` (Benjamini & Hochberg 1995): of the differences that are told a share of alpha is expected to be
    false, and of the equivalences. `ci_simultaneous` of a cell that is told is then Δ ± half(alpha R /
    family_size), R cells being told by that procedure (Benjamini & Yekutieli 2005): a share of alpha of
    *their* intervals may miss; of an undecided cell the wider of the two."""
    effects = [pair.effect() for pair in pairs]
    margins = [float(m) for m in np.broadcast_to(margin, len(pairs))]
    sizes = family_size, family_size if equivalence_size is None else equivalence_size
    claims = [
        [
            1.0 if effect is None else min(1.0, pair.price * pair.p_difference(effect))
            for pair, effect in zip(pairs, effects, strict=True)
        ],
        [
            1.0 if effect is None else min(1.0, pair.price * pair.p_equivalence(effect, m))
            for pair, effect, m in zip(pairs, effects, margins, strict=True)
        ],
    ]
    both = procedures(claims, sizes, alpha, correction)
    return [
        _judge_one(
            pair,
            effect,
            (float(p_difference), float(p_equivalence)),
            m,
            alpha=alpha,
            levels=both.levels,
            simultaneous=both.simultaneous,
        )
        for pair, effect, p_difference, p_equivalence, m in zip(
            pairs, effects, *both.adjusted, margins, strict=True
        )
    ]


def _judge_one(
    pair: Pair,
    effect: Effect | None,
    p: tuple[float, float],
    margin: float,
    *,
    alpha: float,
    levels: list[float],
    simultaneous: list[float],
) -> Judgement:
    few, collapses = pair.few, pair.collapses
    count = int(np.sum(pair.strategy_collapsed))
    of_one_seed = Judgement(
        delta=float(np.mean(pair.d)),
        few_items=few,
        collapse_rate=(count, *clopper_pearson(count, len(pair.d), alpha)),
        without_collapse=_without_collapse(pair, alpha) if collapses else None,
        verdict="undecided",
        reason="one seed: at least 2 are needed, 5 are advised",
        overruled=ONE_SEED,
    )
    if effect is None:
        return of_one_seed

    p_difference, p_equivalence = p
    verdict = told(effect.delta, p, alpha)
    at = level_of(verdict, simultaneous) / pair.price
    low, high = effect.interval(at)
    cut_low, cut_high = cut((low, high), verdict, margin)
    overruled = _overruled(pair, effect, margin, levels) if verdict == "undecided" else ""
    p_of_claim = {"equivalent": p_equivalence, "undecided": None if overruled else min(p)}.get(
        verdict, p_difference
    )
    mde = effect.minimum_detectable(at)
    return replace(
        of_one_seed,
        ci=effect.interval(alpha / pair.price),
        ci_simultaneous=(cut_low, cut_high),
        p_difference=p_difference,
        p_equivalence=p_equivalence,
        p_adjusted=p_of_claim,
        overruled=overruled,
        verdict=verdict,
        reason=_reason(pair, effect, margin, levels, overruled) if verdict == "undecided" else "",
        mde=mde if mde <= pair.span else None,
        seed_half=effect.seed_half(at),
        item_half=effect.item_half(at),
        no_harm=verdict in ("positive", "equivalent")
        or (low - pair.baseline_remaining > -margin and not few and not collapses),
        no_gain=verdict in ("negative", "equivalent")
        or (high + pair.strategy_remaining < margin and not few),
        material=verdict in ("positive", "negative")
        and (low - pair.baseline_remaining > margin or high + pair.strategy_remaining < -margin),
        hangs_on_few_items=pair.hangs_on_few_items(effect),
        by_step_down=(cut_low, cut_high) != (low, high),
        agreement=agreement(pair.d.mean(axis=1)) if pair.chance != "items" else None,
    )


def _overruled(pair: Pair, effect: Effect, margin: float, levels: list[float]) -> str:
    """The rule that keeps a cell from a claim it would make without it; '' where chance alone does. A
    collapse bars whatever Δ points to."""
    if pair.barred_sign * effect.delta > 0:
        return COLLAPSE
    if pair.remaining(effect.delta) and pair.price * effect.p_value() <= levels[0]:
        return BASELINE_IMPROVING if effect.delta > 0 else STRATEGY_IMPROVING
    if pair.unfinished and pair.price * effect.p_equivalence(margin) <= levels[1]:
        return (
            BOTH_IMPROVING
            if all(pair.rising)
            else STRATEGY_IMPROVING
            if pair.rising[0]
            else BASELINE_IMPROVING
        )
    return ""


def _reason(pair: Pair, effect: Effect, margin: float, levels: list[float], overruled: str) -> str:
    """Why a cell with an interval is undecided, and what would decide it at the level at which the correction
    stopped."""
    if pair.baseline_learnt_nothing and effect.delta <= 0:
        return (
            f"collapse: all {len(pair.d)} baseline runs are at chance, and the strategy scores no more "
            "than the naive predictor"
        )
    if pair.collapses and not pair.baseline_learnt_nothing:
        collapsed = [
            f"{np.sum(runs)} of {len(runs)} {arm} runs"
            for arm, runs in (("strategy", pair.strategy_collapsed), ("baseline", pair.baseline_collapsed))
            if np.any(runs)
        ]
        return (
            f"collapse: {' and '.join(collapsed)} collapsed or diverged; such a cell is never positive "
            "or equivalent"
        )
    if overruled:
        return STILL_IMPROVING[overruled]
    difference, equivalence = abs(effect.delta) - pair.remaining(effect.delta), margin - abs(effect.delta)
    if difference <= 0 < pair.remaining(effect.delta):
        return STILL_IMPROVING[BASELINE_IMPROVING if effect.delta > 0 else STRATEGY_IMPROVING]
    is_nearer = equivalence > difference and not pair.bars_equivalence
    # of the claim that is nearer
    gap, level = (equivalence, levels[1]) if is_nearer else (difference, levels[0])
    number = "equivalence needs n >= {:,.0f}" if is_nearer else "about {:,.0f} for this Δ"
    reason = _wanted(
        effect,
        gap,
        level / pair.price,
        number,
        pair.is_saturated(effect, margin, [level / pair.price for level in levels]),
    )
    if pair.unfinished and margin:
        reason += "; an arm was still improving, not equivalent"
    return reason + (
        f"; few items: fewer than {MINIMUM_CLASS} in the smallest class, never equivalent" if pair.few else ""
    )


def _wanted(effect: Effect, gap: float, level: float, number: str, saturated: bool) -> str:
    """What would bring the half-width below `gap`: more seeds, test items, or both. Seeds that are added now
    are judged as read once more. saturated: seeds cannot help; else "not seeds" is not said, for with them Δ
    may move."""
    items, with_more = effect.items_needed(gap, level), level / PRICE_OF_A_READING
    if (effect.item_variance and effect.item_half(with_more) >= gap) or not effect.seed_variance:
        no_seeds = not effect.seed_variance or (saturated and effect.seed_half(level) < gap)
        what = "needs test items, not seeds" if no_seeds else "needs test items and seeds"
        return what + ("" if math.isinf(items) else f": {number.format(items)}")
    if seeds_needed := effect.seeds_needed(gap, with_more):
        return f"more seeds: about {seeds_needed} in all"
    return f"budget: more than {SEEDS_WITHIN_REACH} seeds"


def _without_collapse(pair: Pair, alpha: float) -> WithoutCollapse | None:
    """Δ given no collapse: beside the verdict, never instead of it, for it selects on the outcome."""
    d = pair.d[~(np.asarray(pair.strategy_collapsed) | np.asarray(pair.baseline_collapsed))]
    if len(d) == 0:
        return None
    effect = replace(pair, d=d).effect()
    return {
        "delta": float(d.mean()),
        "ci": effect.interval(alpha / pair.price) if effect else None,
        "seeds": len(d),
    }
