"""Which strategy for a target: the set that cannot be told from the best, and what the best gains once its
being chosen is allowed for."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from transferscope.comparison.paired_scores import Evidence
from transferscope.comparison.pairing import scale
from transferscope.statistics import verdict
from transferscope.statistics.effect import Effect
from transferscope.statistics.shrinkage import shrink
from transferscope.store.schema import Json

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell


@dataclass(frozen=True)
class Best:
    """Of the `among` cells of one target, budget, protocol and baseline arm: the one with the highest score,
    then those that cannot be told from it.

    arm: what the baseline arm is called where one target, budget and protocol has several, else ''. delta,
    ci_simultaneous: of the first against its baseline. corrected: its Δ once its score is drawn towards the
    others' (normal-normal empirical Bayes), for the highest of several is overstated; None where there are no
    others, or no two seeds that all have. gains: whether any of them scores above the baseline."""

    target: str
    label_budget: int | str | None
    protocol: str
    arm: str
    baseline: str
    metric: str
    among: int
    cells: list["Cell"]
    delta: float
    corrected: float | None
    ci_simultaneous: tuple[float, float] | None
    gains: bool

    def to_dict(self) -> Json:
        keys = ("source", "backbone", "initialisation", "strategy", "variant", "strategy_score", "delta")
        strategies = [{key: getattr(cell, key) for key in keys} for cell in self.cells]
        return {
            **{key: getattr(self, key) for key in self.__dataclass_fields__ if key != "cells"},
            "strategies": strategies,
        }


def best(cells: "list[Cell]", settings: Json) -> list[Best]:
    """One a target, label budget, protocol and baseline arm. Controls are no candidates, nor are cells with a
    single seed; against the shuffled source, where every cell has a baseline of its own, there is no best."""
    if settings["baseline"].partition(":")[0] == "shuffled_source":
        return []
    choices: dict[tuple[object, ...], dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        if cell.ci is not None and not cell.is_control:
            same_items = hash(np.sort(cell.evidence.ids).tobytes())
            choices[cell.target, cell.label_budget, cell.protocol, same_items][_arm(cell)].append(cell)
    found = []
    for arms in choices.values():
        backbones = [cells[0].backbone for cells in arms.values()]
        names = (
            backbones
            if len(set(backbones)) == len(arms)
            else [f"{name}, baseline {k}" for k, name in enumerate(backbones, start=1)]
        )
        for cells, name in zip(arms.values(), names, strict=True):
            found.append(_best(cells, name if len(arms) > 1 else "", settings["items"], settings["alpha"]))
    return found


def _arm(cell: "Cell") -> str:
    """What the cell's baseline is and consumes, whichever seeds there are; strategies with one baseline are
    one choice."""
    runs = cell.evidence.baseline_runs
    consumed: Mapping[str, object] = cell.evidence.records[runs[0]]["consumed"] if runs else {}
    return json.dumps(
        {key: value for key, value in consumed.items() if key not in ("seed", "role", "fold")}, sort_keys=True
    )


def _best(cells: list["Cell"], arm: str, items: str, alpha: float) -> Best:
    ordered = sorted(cells, key=lambda cell: -cell.strategy_score)
    leader, others = ordered[0], ordered[1:]
    level = alpha / max(len(others), 1)
    alike = [cell for cell in others if not _told_apart(leader, cell, level, items)]
    return Best(
        leader.target,
        leader.label_budget,
        leader.protocol,
        arm,
        leader.baseline,
        leader.metric,
        len(cells),
        [leader, *alike],
        leader.delta,
        corrected(ordered, items),
        leader.ci_simultaneous,
        any(cell.delta > 0 for cell in cells),
    )


def corrected(cells: list["Cell"], items: str) -> float | None:
    """Δ of the first of these, its score drawn towards the mean of them all.

    What the strategies differ by is shrunk, not their Δ, which share the baseline's luck: that would pull a
    true star back by 1.5 to 2.7 points. The seeds' part of the variance is pooled over the strategies."""
    seeds = [seed for seed in cells[0].evidence.seeds if all(seed in cell.evidence.seeds for cell in cells)]
    if len(cells) < 2 or len(seeds) < 2:
        return None
    scores = np.stack([_scores(cell.evidence, seeds) for cell in cells])  # [m, K, n]
    found = [_effect(d, cells, items) for d in scores - scores.mean(axis=0)]
    apart = [effect for effect in found if effect is not None]  # all: there are two seeds
    variances = np.mean([effect.seed_variance for effect in apart]) + np.array(
        [effect.item_variance for effect in apart]
    )
    return float(
        np.mean([cell.delta for cell in cells]) + shrink([effect.delta for effect in apart], variances)[0]
    )


def within_families(cells: list["Cell"], items: str) -> list[float | None]:
    """Δ of each cell drawn towards those of its family; None where it is alone, or has a single seed. items:
    as for the comparison."""
    families: dict[str, dict[int, Effect]] = defaultdict(dict)
    for k, cell in enumerate(cells):
        if (effect := cell.pair(items).effect()) is not None:
            families[cell.family][k] = effect
    found: list[float | None] = [None] * len(cells)
    for family in families.values():
        if len(family) > 1:
            # of few seeds each: by itself it makes the weights
            pooled = np.mean([effect.seed_variance for effect in family.values()])
            drawn = shrink(
                [cells[k].delta for k in family],
                [float(pooled + effect.item_variance) for effect in family.values()],
            )
            for k, value in zip(family, drawn, strict=True):
                found[k] = float(value)
    return found


def _told_apart(leader: "Cell", other: "Cell", level: float, items: str) -> bool:
    """Whether the paired difference of the two strategies is told from 0."""
    seeds = [seed for seed in leader.evidence.seeds if seed in other.evidence.seeds]
    effect = _effect(_scores(leader.evidence, seeds) - _scores(other.evidence, seeds), [leader, other], items)
    return effect is not None and effect.half(level) < abs(effect.delta)


def _scores(evidence: Evidence, seeds: list[int]) -> np.ndarray:
    """Of the strategy [K, n], items in the order of their ids."""
    rows = np.array([evidence.seeds.index(seed) for seed in seeds], dtype=int)
    scores: np.ndarray = evidence.strategy_scores[np.ix_(rows, np.argsort(evidence.ids))]
    return scores


def _effect(d: np.ndarray, cells: list["Cell"], items: str) -> Effect | None:
    """Of differences [K, n] between the strategies of cells with the same test items, in the order of their
    ids."""
    seen = cells[0].evidence
    none = np.zeros(len(d), bool)
    is_of_items = all(cell.evidence.is_of_items for cell in cells) and len(d)
    chance = "seeds" if items == "fixed" else "items" if is_of_items else "both"
    means = verdict.group_means(d, None if seen.groups is None else seen.groups[np.argsort(seen.ids)])
    named = [cell.evidence.strategy_named for cell in cells]
    return verdict.Pair(means, none, none, 0, chance, **scale(cells[0].metric, seen, named)).effect()
