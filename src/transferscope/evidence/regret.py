"""What each selection rule costs: the best evaluation of a run, known only to who reads the test labels, over the one the rule takes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferscope.comparison import scores
from transferscope.comparison.cells import Cell

MOST_RUNS = 300  # every evaluation of every run is read
ORACLE = "oracle"


@dataclass(frozen=True)
class Regret:
    """mean, worst: over cells, of the mean over a strategy's runs. cells: where the rule applies; a run that sees no labels to choose by
    is left out."""

    rule: str
    mean: float
    worst: float
    cells: int


def of(cells: Sequence[Cell]) -> list[Regret]:
    """The rules by mean regret, smallest first; empty beyond 300 runs."""
    runs = {folder for cell in cells for folder in cell.evidence.strategy_runs}
    if len(runs) > MOST_RUNS:
        return []
    rules = [rule for rule in scores.SELECTIONS if rule != ORACLE]
    known: dict[Path, dict[str, float]] = {}
    by_rule = defaultdict(list)
    for cell in cells:
        for folder in cell.evidence.strategy_runs:
            if folder not in known:
                known[folder] = _of_run(folder, cell, rules)
        for rule in rules:
            if found := [known[folder][rule] for folder in cell.evidence.strategy_runs if rule in known[folder]]:
                by_rule[rule].append(np.mean(found))
    found = [Regret(rule, float(np.mean(values)), float(np.max(values)), len(values)) for rule, values in by_rule.items()]
    return sorted(found, key=lambda regret: regret.mean)


def _of_run(folder: Path, cell: Cell, rules: Sequence[str]) -> dict[str, float]:
    run = cell.evidence.records[folder]
    best = scores.read_scores(folder, run, cell.metric, ORACLE).scores.mean()
    found = {}
    for rule in rules:
        try:
            taken = scores.read_scores(folder, run, cell.metric, rule)
        except scores.NotSelectable:
            continue
        if taken.selection == rule:
            found[rule] = float(best - taken.scores.mean())
    return found
