"""Seeds until decided: looks at a family on the way, with an error rate that holds over all of them. Pure
functions of arrays.

Test items are not drawn again at a look, so information saturates at 1/C and not every cell can be decided by
seeds; those that a further look cannot be expected to decide are stopped for futility. Group-sequential
testing, alpha divided evenly over the looks (Bonferroni); stopping for futility only ever makes fewer false
claims, as long as what was stopped stays in the family."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferscope.statistics import verdict
from transferscope.statistics.effect import Effect
from transferscope.statistics.verdict import Pair

SEEDS_CANNOT_HELP, BUDGET = "seeds alone cannot help", "budget"


@dataclass(frozen=True)
class Design:
    """looks: seeds that a cell has at each look, increasing. alpha: false claims a family may make over all
    looks together."""

    looks: tuple[int, ...]
    alpha: float

    @property
    def level(self) -> float:
        """Of one look."""
        return self.alpha / len(self.looks)


@dataclass(frozen=True)
class Outcome:
    """What a look makes of one cell.

    state: `decided` (final), `stopped` (for futility), `open` (more seeds will be run), `undecided` (the last
    look did not decide it).
    verdict: of `verdict.judge`. limit: why a cell is left without a verdict, `seeds alone cannot help` or
    `budget`, else ''. reason: what would decide it. ci_simultaneous: at the look's level over the size of the
    family, cut where the decision ends it; with probability 1 − alpha all of them, at all looks, hold.
    p_adjusted: by Holm's procedure and for the number of looks: decided is p_adjusted ≤ alpha. None where
    there is nothing to compare."""

    state: str
    verdict: str
    limit: str
    reason: str
    delta: float | None
    ci_simultaneous: tuple[float, float] | None
    p_adjusted: float | None
    seeds: int


def look(
    pairs: Sequence[Pair],
    margins: Sequence[float],
    number: int,
    untold: tuple[int, int],
    family: int,
    design: Design,
) -> list[Outcome]:
    """Look `number` (1, 2, …) at the open cells of one family, each with its d [K, n] so far.

    untold: cells of the family without a told difference before this look, and those without a told
    equivalence. The open ones are among either, and also those stopped for futility or without any result,
    and those of which the other claim was told: they keep their place with p = 1. family: all its cells."""
    judgements = verdict.judge(pairs, margins, design.level, untold[0], equivalence_size=untold[1])
    claims = [
        sum(judged.verdict in verdicts for judged in judgements)
        for verdicts in (("positive", "negative"), ("equivalent",))
    ]
    difference, equivalence = (
        design.level / max(size - count, 1) for size, count in zip(untold, claims, strict=True)
    )
    findings = []
    for pair, margin, judged in zip(pairs, margins, judgements, strict=True):
        effect = pair.effect()
        state, limit = "decided", ""
        if judged.verdict == "undecided":
            state, limit = _without_verdict(
                pair, effect, margin, number, (difference / pair.price, equivalence / pair.price), design
            )
        findings.append(
            Outcome(
                state=state,
                verdict=judged.verdict,
                limit=limit,
                reason=judged.reason,
                delta=judged.delta,
                ci_simultaneous=_interval(effect, design.level / family / pair.price, judged.verdict, margin)
                if effect
                else None,
                p_adjusted=None
                if judged.p_adjusted is None
                else min(1.0, judged.p_adjusted * len(design.looks)),
                seeds=len(pair.d),
            )
        )
    return findings


def is_futile(pair: Pair, effect: Effect, margin: float, levels: tuple[float, float], seeds: int) -> bool:
    """Whether no claim that the pair may make is in sight at `seeds` seeds, Δ and the half-width each allowed
    to move by √A.

    With every claim open: |Δ| + √A < h and h − √A > margin − |Δ|, h the half-width predicted there at the
    level of that claim."""
    then, drift = effect.with_seeds(seeds), math.sqrt(effect.seed_variance)
    reach = {1: effect.delta - pair.baseline_remaining, -1: -effect.delta - pair.strategy_remaining}
    difference = max(gap for sign, gap in reach.items() if sign != pair.barred_sign) + drift >= then.half(
        levels[0]
    )
    equivalence = not pair.bars_equivalence and then.half(levels[1]) - drift <= margin - abs(effect.delta)
    return not (difference or equivalence)


def _without_verdict(
    pair: Pair, effect: Effect | None, margin: float, number: int, levels: tuple[float, float], design: Design
) -> tuple[str, str]:
    """(state, limit)"""
    is_last = number == len(design.looks)
    if effect is None:
        return ("undecided", BUDGET) if is_last else ("open", "")
    if not is_last and not is_futile(pair, effect, margin, levels, design.looks[-1]):
        return "open", ""
    barred = pair.barred_sign * effect.delta > 0 or 0 < abs(effect.delta) <= pair.remaining(effect.delta)
    return "undecided" if is_last else "stopped", SEEDS_CANNOT_HELP if barred or pair.is_saturated(
        effect, margin, levels
    ) else BUDGET


def _interval(effect: Effect, level: float, claim: str, margin: float) -> tuple[float, float]:
    ends = {"positive": (0.0, math.inf), "negative": (-math.inf, 0.0), "equivalent": (-margin, margin)}.get(
        claim, (-math.inf, math.inf)
    )
    low, high = np.clip(effect.interval(level), *ends)
    return float(low), float(high)
