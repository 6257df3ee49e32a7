"""How far a cell comes on the way from its baseline to training on every target label, where that was run."""

from dataclasses import dataclass, replace

import numpy as np

from transferscope.comparison import baselines
from transferscope.comparison.arms import Arm
from transferscope.comparison.paired_scores import Evidence, ScoreReader
from transferscope.comparison.pairing import pair, tested
from transferscope.comparison.scores import NotSelectable
from transferscope.errors import RequestError
from transferscope.statistics import verdict
from transferscope.statistics.effect import Effect
from transferscope.statistics.share import Share, share_of_way

NAME = "target_full"


@dataclass(frozen=True)
class Ceiling:
    """score: of `target_full` over the seeds it shares with the cell. share: of the way to it; else why_not.
    All empty where it was not run."""

    score: float | None = None
    share: Share | None = None
    why_not: str = ""

    @property
    def flags(self) -> list[str]:
        return [f"share of the way to {NAME} not told: {self.why_not}"] if self.why_not else []


def ceiling(
    arm: Arm, base: Arm, evidence: Evidence, full: list[Arm], reader: ScoreReader, *, items: str, alpha: float
) -> Ceiling:
    """full: the arms that could be `target_full` (`baselines.able`)."""
    if not baselines.is_row(arm, NAME, {}):
        return Ceiling()
    try:
        found = baselines.find(arm, full, NAME, {})
        if not found or found[0][0] is base or not found[0][0].runs:
            return Ceiling()
        above = pair(arm, found[0][0], reader)
    except (NotSelectable, RequestError) as why:
        return Ceiling(why_not=str(why))
    return _shared(evidence, above, reader.metric, items, alpha)


def _shared(evidence: Evidence, above: Evidence, metric: str, items: str, alpha: float) -> Ceiling:
    """above: the same strategy beside target_full."""
    seeds = [seed for seed in evidence.seeds if seed in above.seeds]
    if not seeds:
        return Ceiling(why_not=f"no seed in common with {NAME}")
    own, its = (
        np.ix_(np.array([one.seeds.index(seed) for seed in seeds]), np.argsort(one.ids))
        for one in (evidence, above)
    )
    groups = None if evidence.groups is None else evidence.groups[np.argsort(evidence.ids)]
    strategy, baseline, full = (
        verdict.group_means(scores, groups)
        for scores in (evidence.strategy_scores[own], evidence.held_against[own], above.baseline_scores[its])
    )
    is_fixed = evidence.deterministic and above.deterministic
    template = replace(
        tested(evidence, metric, items),
        chance="seeds" if items == "fixed" else "items" if is_fixed else "both",
    )

    def effect(d: np.ndarray) -> Effect | None:
        return replace(template, d=d).effect()

    share = share_of_way(strategy - baseline, full - baseline, effect, alpha)
    why_not = (
        ""
        if share
        else "one seed"
        if len(seeds) == 1 and not is_fixed
        else f"{NAME} is not surely above the baseline"
    )
    return Ceiling(float(full.mean()), share, why_not)
