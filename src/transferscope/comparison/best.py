"""Which strategy for a target: the set that cannot be told from the best, and what the best gains once its being chosen is allowed for."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from transferscope import verdict
from transferscope.comparison.pairing import Evidence, scale, tested
from transferscope.evidence.shrinkage import shrink

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell, Comparison


@dataclass(frozen=True)
class Best:
    """Of the `among` cells of one target, budget and protocol: those that cannot be told from the one with the highest score, it first.

    delta, ci_simultaneous: of the first against its baseline. corrected: its Δ drawn towards the others' (normal-normal empirical Bayes),
    for the highest of several is overstated.
    """

    target: str
    label_budget: int | str | None
    protocol: str
    baseline: str
    metric: str
    among: int
    cells: list["Cell"]
    delta: float
    corrected: float
    ci_simultaneous: tuple[float, float]

    def to_dict(self) -> dict:
        keys = ("source", "backbone", "initialisation", "strategy", "variant", "strategy_score", "delta")
        strategies = [{key: getattr(cell, key) for key in keys} for cell in self.cells]
        return {**{key: getattr(self, key) for key in self.__dataclass_fields__ if key != "cells"}, "strategies": strategies}


def best(comparison: "Comparison") -> list[Best]:
    """One a target, label budget and protocol. Controls are no candidates, nor are cells with a single seed; against the shuffled source,
    where every cell has a baseline of its own, there is no best."""
    settings = comparison.settings
    if settings["baseline"].partition(":")[0] == "shuffled_source":
        return []
    choices = defaultdict(list)
    for cell in comparison:
        if cell.ci is not None and not cell.family.endswith("/controls"):
            same_items = hash(np.sort(cell.evidence.ids).tobytes())
            choices[cell.target, cell.label_budget, cell.protocol, same_items].append(cell)
    return [_best(cells, settings["alpha"], settings["items"]) for cells in choices.values()]


def _best(cells: list["Cell"], alpha: float, items: str) -> Best:
    ordered = sorted(cells, key=lambda cell: -cell.strategy_score)
    leader, others = ordered[0], ordered[1:]
    level = alpha / max(len(others), 1)
    alike = [cell for cell in others if not _told_apart(leader, cell, level, items)]
    effects = [tested(cell.evidence, cell.metric, items).effect() for cell in ordered]
    corrected = shrink([effect.delta for effect in effects], [effect.seed_variance + effect.item_variance for effect in effects])
    return Best(
        leader.target,
        leader.label_budget,
        leader.protocol,
        leader.baseline,
        leader.metric,
        len(cells),
        [leader, *alike],
        leader.delta,
        float(corrected[0]),
        leader.ci_simultaneous,
    )


def _told_apart(leader: "Cell", other: "Cell", level: float, items: str) -> bool:
    """Whether the paired difference of the two strategies is told from 0."""
    effect = _between(leader.evidence, other.evidence, leader.metric, items).effect()
    return effect is not None and effect.half(level) < abs(effect.delta)


def _between(a: Evidence, b: Evidence, metric: str, items: str) -> verdict.Pair:
    """The strategies of two cells, paired by seed and item."""
    seeds = [seed for seed in a.seeds if seed in b.seeds]
    order = [np.argsort(evidence.ids) for evidence in (a, b)]
    scores = [
        evidence.strategy_scores[np.ix_([evidence.seeds.index(seed) for seed in seeds], at)]
        for evidence, at in zip((a, b), order, strict=True)
    ]
    d = verdict.group_means(scores[0] - scores[1], None if a.groups is None else a.groups[order[0]])
    none = np.zeros(len(seeds), bool)
    chance = "seeds" if items == "fixed" else "items" if a.deterministic and b.deterministic and seeds else "both"
    return verdict.Pair(d, none, none, 0, chance, **scale(metric, a.labels))
