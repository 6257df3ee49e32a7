"""What each selection rule costs: the best evaluation of a run, known only to who reads the test labels, over
the one the rule takes."""

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
class Regrets:
    """mean: by rule, over the `cells` where all of these rules apply, of the mean over a strategy's runs
    (`scores.regret`); the smallest first. left_out: in words, what is not told and why."""

    mean: dict[str, float]
    cells: int
    left_out: str


def regrets(cells: Sequence[Cell]) -> Regrets:
    runs = {folder for cell in cells for folder in cell.evidence.strategy_runs}
    if len(runs) > MOST_RUNS:
        return Regrets(
            {},
            0,
            (
                f"not told for {len(runs)} runs: every evaluation of each would be read, which is done for "
                f"up to {MOST_RUNS}"
            ),
        )
    rules = [rule for rule in scores.selections() if rule != ORACLE]
    known: dict[Path, dict[str, float]] = {}
    by_rule: dict[str, dict[int, float]] = defaultdict(dict)
    for k, cell in enumerate(cells):
        if cell.evidence.is_imported:
            continue  # of one evaluation each
        for folder in cell.evidence.strategy_runs:
            if folder not in known:
                known[folder] = _of_run(folder, cell, rules)
        for rule in rules:
            runs_of = cell.evidence.strategy_runs
            found = [known[folder][rule] for folder in runs_of if rule in known[folder]]
            if len(found) == len(runs_of):
                by_rule[rule][k] = float(np.mean(found))
    return _on_common_cells(by_rule)


def _on_common_cells(by_rule: dict[str, dict[int, float]]) -> Regrets:
    """by_rule: by rule and cell. Where no cell is common to all, the rules that share fewest with the others
    are left out."""
    kept, left = dict(by_rule), []

    def shared(rule: str) -> int:
        return sum(len(kept[rule].keys() & cells.keys()) for cells in kept.values())

    while kept and not (common := set.intersection(*map(set, kept.values()))):
        left.append(min(kept, key=shared))
        del kept[left[-1]]
    if not kept:
        return Regrets({}, 0, "")
    mean = {rule: float(np.mean([found[k] for k in common])) for rule, found in kept.items()}
    said = f"{', '.join(left)}: no cell in common with the others" if left else ""
    return Regrets(dict(sorted(mean.items(), key=lambda item: item[1])), len(common), said)


def _of_run(folder: Path, cell: Cell, rules: Sequence[str]) -> dict[str, float]:
    """Those that apply: a run that sees no labels to choose by is judged by its last evaluation, which is
    another rule."""
    run, found = cell.evidence.records[folder], {}
    for rule in rules:
        try:
            if scores.read_scores(folder, run, cell.metric, rule).selection == rule:
                found[rule] = scores.regret(folder, run, cell.metric, rule, cell.evidence.tested_on)
        except scores.NotSelectable:
            continue
    return found
