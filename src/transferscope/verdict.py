"""What is claimed of the cells of one family. Pure functions of arrays; the estimate of one cell is in `effect.py`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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

__all__ = [
    "Effect", "Judgement", "Pair", "benjamini_hochberg", "clopper_pearson", "estimate", "group_means", "holm", "interval", "judge",
    "mean_squares", "smallest_class",
]  # fmt: skip

MINIMUM_CLASS = 10  # test items (or groups) in the smallest class below which nothing is called equivalent
STILL_IMPROVING = "the baseline was still improving: train it longer"


@dataclass(frozen=True)
class Pair:
    """One cell's evidence: d [K, units], collapsed runs of either arm [K] (bool), items (or groups) in the smallest class.

    chance: what is left to it. `both`: seeds and items; `seeds`: these very items are meant; `items`: no seed changes either arm, the rows
    of d are one. influence: of `estimate`. baseline_improving: the baseline's score still rose when its training stopped.
    """

    d: np.ndarray
    strategy_collapsed: np.ndarray
    baseline_collapsed: np.ndarray
    smallest_class: int
    chance: str = "both"
    influence: float | None = None
    baseline_improving: bool = False

    @property
    def few(self) -> bool:
        return self.smallest_class < MINIMUM_CLASS and self.chance != "seeds"

    @property
    def collapses(self) -> bool:
        return bool(np.any(self.strategy_collapsed) or np.any(self.baseline_collapsed))

    def effect(self) -> Effect | None:
        """None with a single seed where seeds matter."""
        if self.chance == "items":
            return estimate_over_items(self.d[0], self.influence)
        if len(self.d) < 2:
            return None
        return estimate_over_seeds(self.d) if self.chance == "seeds" else estimate(self.d, self.influence)


@dataclass(frozen=True)
class Judgement:
    """The verdict on one cell. Everything that needs an interval is None with a single seed.

    ci: pointwise, 1 − α. ci_simultaneous: see `judge`. p_adjusted: by the correction. without_collapse: delta, ci and seeds of the pairs
    where neither arm collapsed, None where none did. collapse_rate: (count, lowest, highest) of the strategy, Clopper-Pearson.
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


def benjamini_hochberg(p: Sequence[float], size: int) -> np.ndarray:
    """Benjamini & Hochberg's adjusted p-values in a family of `size` hypotheses; those that are not in `p` count as p = 1."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate((size * p[order] / np.arange(1, len(p) + 1))[::-1])[::-1])
    return adjusted


CORRECTIONS = {"holm": holm, "bh": benjamini_hochberg}


def judge(
    pairs: Sequence[Pair], margin: float | Sequence[float], alpha: float, family_size: int, correction: str = "holm"
) -> list[Judgement]:
    """Verdicts of one family. `family_size` counts the cells as planned: those without a single run count too. margin: one, or one a pair.

    A cell's p is the smallest of the claims it may make: "a difference" and "inside ±margin". One with a single seed makes no claim, one
    with a collapse only a negative one, one with few items none of equivalence, one whose baseline was still improving no positive one. A
    cell is decided where its adjusted p ≤ alpha; where both claims pass, the difference is told (`material` says whether it matters).

    `holm`: `ci_simultaneous` is Δ ± half(alpha / family_size): with probability 1 − alpha these hold for all cells of the family at once.
    Holm's later steps test at larger levels and can decide a cell whose interval still touches 0 (or the margin); such an interval is cut
    where Holm's decision ends it, and `by_step_down` is set, so that the two never contradict each other. What Holm adds is guaranteed for
    one kind of claim: a false "difference" comes up in at most alpha of the families. Differences and equivalences together are bounded
    by 1.5 alpha (0.07 at alpha 0.05 in the worst case found by simulation, cells lying exactly on the margin).

    `bh` (Benjamini & Hochberg 1995): of the decided cells a share of alpha is expected to be wrong. `ci_simultaneous` is then
    Δ ± half(alpha R / family_size), R cells being decided (Benjamini & Yekutieli 2005): a share of alpha of *their* intervals may miss.
    """
    effects = [pair.effect() for pair in pairs]
    margins = [float(m) for m in np.broadcast_to(margin, len(pairs))]
    claims = [_claims(pair, effect, m) for pair, effect, m in zip(pairs, effects, margins, strict=True)]
    p = [min(claim.values(), default=1.0) for claim in claims]
    adjusted = CORRECTIONS[correction](p, family_size)
    decided = int(np.sum(adjusted <= alpha))
    if correction == "holm":  # level at which Holm tested each cell, or stopped before it
        levels = alpha / (family_size - np.minimum(np.argsort(np.argsort(p, kind="stable")), decided))
        simultaneous = alpha / max(family_size, 1)
    else:
        simultaneous = alpha * max(decided, 1) / max(family_size, 1)
        levels = np.full(len(pairs), simultaneous)
    return [
        _judge_one(pair, effect, claim, float(p), m, alpha, float(level), simultaneous)
        for pair, effect, claim, p, m, level in zip(pairs, effects, claims, adjusted, margins, levels, strict=True)
    ]


def _claims(pair: Pair, effect: Effect | None, margin: float) -> dict[str, float]:
    """p-value of each claim the pair may make."""
    if effect is None:
        return {}
    sign = _sign(effect)
    claims = {}
    if sign == "negative" or not (pair.collapses or pair.baseline_improving):
        claims[sign] = effect.p_value()
    if not (pair.few or pair.collapses):
        claims["equivalent"] = effect.p_equivalence(margin)
    return claims


def _sign(effect: Effect) -> str:
    return "positive" if effect.delta > 0 else "negative"


def _judge_one(
    pair: Pair, effect: Effect | None, claims: dict, p: float, margin: float, alpha: float, level: float, simultaneous: float
) -> Judgement:
    few, collapses = pair.few, pair.collapses
    count = int(np.sum(pair.strategy_collapsed))
    always = {
        "delta": float(np.mean(pair.d)),
        "few_items": few,
        "collapse_rate": (count, *clopper_pearson(count, len(pair.d), alpha)),
        "without_collapse": _without_collapse(pair, alpha) if collapses else None,
    }
    if effect is None:
        nothing = dict.fromkeys(("ci", "ci_simultaneous", "p_adjusted", "mde"))
        no_claims = dict.fromkeys(("no_harm", "no_gain", "material", "by_step_down"), False)
        return Judgement(**always, **nothing, **no_claims, verdict="undecided", reason="one seed: at least 2 are needed, 5 are advised")

    low, high = effect.interval(simultaneous)
    verdict = "undecided"
    if p <= alpha:
        verdict = next((claim for claim in (_sign(effect), "equivalent") if claims.get(claim, 1.0) <= level), min(claims, key=claims.get))
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
        mde=effect.minimum_detectable(simultaneous),
        no_harm=verdict in ("positive", "equivalent") or (low > -margin and not few and not collapses),
        no_gain=verdict in ("negative", "equivalent") or (high < margin and not few),
        material=verdict in ("positive", "negative") and (low > margin or high < -margin),
        by_step_down=(cut_low, cut_high) != (low, high),
    )


def _reason(pair: Pair, effect: Effect, margin: float, alpha: float) -> str:
    """Why a cell with an interval is undecided, and what would decide it at the level at which the correction stopped."""
    collapsed = [
        f"{np.sum(runs)} of {len(runs)} {arm} runs"
        for arm, runs in (("strategy", pair.strategy_collapsed), ("baseline", pair.baseline_collapsed))
        if np.any(runs)
    ]
    if collapsed:
        return f"collapse: {' and '.join(collapsed)} collapsed or diverged; such a cell is never positive or equivalent"
    if pair.baseline_improving and effect.delta > 0:
        return STILL_IMPROVING
    difference, equivalence = abs(effect.delta), margin - abs(effect.delta)
    gap = difference if pair.few else max(difference, equivalence)  # to the nearer of the two claims
    items = effect.items_needed(gap, alpha)
    if items >= effect.items or not effect.seed_variance:
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
    return reason + (f"; few items: fewer than {MINIMUM_CLASS} in the smallest class, never equivalent" if pair.few else "")


def _without_collapse(pair: Pair, alpha: float) -> dict | None:
    """Δ given no collapse: beside the verdict, never instead of it, for it selects on the outcome."""
    d = pair.d[~(np.asarray(pair.strategy_collapsed) | np.asarray(pair.baseline_collapsed))]
    if len(d) == 0:
        return None
    effect = replace(pair, d=d).effect()
    return {"delta": float(d.mean()), "ci": effect.interval(alpha) if effect else None, "seeds": len(d)}
