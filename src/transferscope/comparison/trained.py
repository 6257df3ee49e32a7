"""How the two arms of a cell were trained: for how long, and how their curves end."""

from dataclasses import replace
from pathlib import Path

from transferscope.comparison import plateau
from transferscope.comparison.arms import Arm
from transferscope.comparison.paired_scores import Evidence, ScoreReader
from transferscope.comparison.pairing import common_seeds
from transferscope.comparison.plateau import Rise, Rises
from transferscope.tasks.metrics import HEADLINES, METRICS


def longest(arm: Arm, baseline: Arm) -> tuple[Arm, Arm, int]:
    """The two at the longest training that has every seed they share, and how many times the planned steps
    that is. `run --settle` makes longer ones; half of one is no evidence yet."""
    seeds = common_seeds(arm, baseline)
    for times in sorted(arm.longer.keys() & baseline.longer.keys(), reverse=True):
        pair = arm.longer[times], baseline.longer[times]
        if seeds <= common_seeds(*pair):
            return *pair, times
    return arm, baseline, 1


def rises(evidence: Evidence, reader: ScoreReader) -> Rises:
    """Whether an arm still rises is judged by the headline metric of its task, accuracy or errors; how far,
    by the metric itself, whose curves are read only then."""
    return Rises(
        *(_rise(evidence, runs, reader) for runs in (evidence.strategy_runs, evidence.baseline_runs))
    )


def _rise(evidence: Evidence, runs: list[Path], reader: ScoreReader) -> Rise:
    rows = dict.fromkeys(map(tuple, evidence.rows(runs)))  # a deterministic run may stand for several seeds

    headline = HEADLINES[METRICS[reader.metric].task]
    margin = plateau.MARGIN * evidence.metric(headline).span

    def rise(metric: str) -> Rise:
        curves = [
            reader.curve([(folder, evidence.records[folder]) for folder in row], metric) for row in rows
        ]
        return replace(plateau.rise(curves, margin, METRICS[metric].best), metric=metric)

    found = rise(headline)
    if not found.is_rising or reader.metric == headline:
        return found
    return replace(rise(reader.metric), is_rising=True, metric=reader.metric)
