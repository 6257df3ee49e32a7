"""What a comparison hands out: cells with their verdicts, and what stands beside them."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from transferscope.comparison import scores
from transferscope.comparison.baseline_words import of_baseline
from transferscope.comparison.paired_scores import Evidence
from transferscope.comparison.pairing import tested
from transferscope.statistics.verdict import Pair, WithoutCollapse
from transferscope.store.schema import CopiedItems, Json


@dataclass(frozen=True)
class Cell:
    """One row: a cell against its baseline. Scores and Δ are fractions, or have their sign flipped (nll,
    brier): higher is better.

    seeds, items: how many; items are groups where `item_unit` is "group", and scores then means of group
    means. ci is pointwise at 1 − alpha, ci_simultaneous holds for the family at once; p_difference,
    p_equivalence, p_adjusted, overruled, seed_half, item_half: of `verdict.Judgement`. probability_harm,
    _within, _gain: of Δ below −margin, within ±margin, above it; None in families of fewer than three cells.
    seeds_ahead: how many have the sign of Δ; failure_rate: the largest share of seeds without it that this
    does not exclude (95 %). clipped: share of an arm's scores that the metric's cap has cut off.
    collapse_rate: Clopper-Pearson, of the strategy's runs. without_collapse: Δ of the seeds without one, for
    reading only. share_of_way: Δ over what `target_full` scores more than the baseline, with Fieller's
    interval at 1 − alpha, where that was run and is surely more. readings: how often it was read before its
    seeds grew. strategy_rise, baseline_rise: how their trainings end (`plateau.Rise`). barred: undecided, and
    decided had both arms finished training. times_steps: the planned length that the pair was trained for, 1
    but where `run --settle` went on. by_looks: the verdict is what the looks of its sweep found. rates: of
    cells that differ in their learning rate alone, Δ by rate, and rates_sign what that tells of the sign.
    percent_of_naive: where numbers are predicted, Δ in percent of the naive predictor's error, above 0 where
    errors are smaller. copies: of test items among the training items (`Copies`), None where the record does
    not say. evidence is not part of `to_dict`."""

    source: str | None
    target: str
    label_budget: int | str | None
    backbone: str
    initialisation: str
    strategy: str
    variant: str
    baseline: str
    metric: str
    selection: str
    protocol: str
    delta: float
    ci_simultaneous: tuple[float, float] | None
    ci: tuple[float, float] | None
    p_adjusted: float | None
    verdict: str
    mde: float | None
    seeds: int
    items: int
    item_unit: str
    p_difference: float | None
    p_equivalence: float | None
    overruled: str
    reason: str
    conditional_on: list[str]
    family: str
    family_size: int
    margin: float
    no_harm: bool
    no_gain: bool
    material: bool
    probability_harm: float | None
    probability_within: float | None
    probability_gain: float | None
    seed_half: float | None
    item_half: float | None
    seeds_ahead: int | None
    failure_rate: float | None
    outlying_seeds: list[int]
    collapsed: int
    baseline_collapsed: int
    collapse_rate: tuple[float, float]
    without_collapse: WithoutCollapse | None
    strategy_score: float
    baseline_score: float
    target_full_score: float | None
    share_of_way: float | None
    share_of_way_ci: tuple[float, float] | None
    strategy_ece: float | None
    baseline_ece: float | None
    strategy_clipped: float
    baseline_clipped: float
    readings: int
    rates: dict[str, float] | None
    rates_sign: str | None
    strategy_rise: Json
    baseline_rise: Json
    barred: bool
    times_steps: int
    by_looks: bool
    copies: CopiedItems | None
    flags: list[str]
    percent_of_naive: float | None
    evidence: Evidence = field(repr=False, compare=False)

    @property
    def tested_on(self) -> str:
        """The domain whose test items it is judged on: the target, unless told."""
        return self.evidence.tested_on or self.target

    @property
    def is_control(self) -> bool:
        """Whether its source's labels were shuffled."""
        return self.family.endswith("/controls")

    @property
    def transfers(self) -> bool:
        """Whether it has anything of a source, where the baseline is without one; else its Δ is that of
        another training on the same target."""
        if not of_baseline(self.baseline).negative_transfer or self.source is not None:
            return True
        return self.baseline == "scratch" and self.initialisation != "random"

    @property
    def unit(self) -> str:
        """Of its scores, as tables show them."""
        return self.evidence.metric(self.metric).display

    def to_dict(self) -> Json:
        apart = ("evidence", *(() if self.evidence.errors else ("percent_of_naive",)))
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}

    def pair(self, items: str) -> Pair:
        """What its verdict is made of. items: as for the comparison."""
        ends = {
            "strategy_remaining": self.strategy_rise["remaining"],
            "baseline_remaining": self.baseline_rise["remaining"],
        }
        rising = self.strategy_rise["is_rising"], self.baseline_rise["is_rising"]
        return replace(
            tested(self.evidence, self.metric, items), **ends, rising=rising, readings=self.readings
        )

    def side(self, level: float, items: str) -> int:
        """1 or −1 where it may claim at this level that Δ is on that side of zero. What looks have left open
        is no claim."""
        return 0 if self.by_looks and self.verdict == "undecided" else self.pair(items).side(level)

    @cached_property
    def regret(self) -> dict[str, float]:
        """Mean test score that selecting on test labels would add (`scores.regret`), of either arm that has
        runs; reads every evaluation. Raises NotSelectable where a run has dropped the outputs for it."""
        arms = {"strategy": self.evidence.strategy_runs, "baseline": self.evidence.baseline_runs}
        return {
            arm: float(
                np.mean(
                    [
                        scores.regret(
                            folder,
                            self.evidence.records[folder],
                            self.metric,
                            self.selection,
                            self.evidence.tested_on,
                        )
                        for folder in folders
                    ]
                )
            )
            for arm, folders in arms.items()
            if folders
        }
