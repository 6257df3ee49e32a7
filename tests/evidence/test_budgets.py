from dataclasses import replace

import numpy as np

from store_fixture import write_runs
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence import budgets


def band(store, skills: dict[int, float]) -> budgets.Band:
    for budget, skill in skills.items():
        write_runs(store, "scratch", 1.0, label_budget=budget)
        write_runs(store, "fine_tuning", skill, label_budget=budget, initialisation="source")
    return budgets.band(compare(store).cells, 0.05)


def test_a_crossover_lies_between_the_budgets_whose_band_shows_opposite_sides(tmp_path):
    found = band(tmp_path, {2: 2.5, 10: 1.0, 50: -0.5})
    assert found.budgets == [2, 10, 50]
    assert found.crossovers() == [(2, 50, "loss")]


def test_no_crossover_where_the_band_touches_zero(tmp_path):
    assert band(tmp_path, {2: 2.5, 10: 1.0}).crossovers() == []


def test_the_band_is_wider_than_each_interval(tmp_path):
    found = band(tmp_path, {2: 2.0, 10: 1.0})
    for cell, ci in zip(compare(tmp_path), found.ci, strict=True):
        assert ci[0] < cell.ci[0] and ci[1] > cell.ci[1]


def test_a_side_counts_only_where_the_cell_may_claim_it(tmp_path):
    for budget, skill in {2: 2.5, 50: -0.5}.items():
        write_runs(tmp_path, "scratch", 1.0, label_budget=budget)
        write_runs(tmp_path, "fine_tuning", skill, label_budget=budget, initialisation="source")
    cells = compare(tmp_path).cells
    assert budgets.band(cells, 0.05).crossovers() == [(2, 50, "loss")]
    rising = {**cells[0].baseline_rise, "remaining": 0.9, "is_rising": True}
    collapsed = replace(cells[0].evidence, strategy_collapsed=np.array([True, False, False, False, False]))
    for barred in (
        {"baseline_rise": rising},
        {"evidence": collapsed},
        {"by_looks": True, "verdict": "undecided"},
    ):
        assert budgets.band([replace(cells[0], **barred), cells[1]], 0.05).crossovers() == []
