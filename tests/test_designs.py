"""Stores whose cells claim something else: this test set only, this training set only, a margin in risk."""

import numpy as np
import pytest
from scipy import stats

from store_fixture import write_run, write_runs
from transferscope.comparison.compare import compare


def test_fixed_items_claim_this_test_set_only(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 0.8)
    (random,), (fixed,) = compare(tmp_path), compare(tmp_path, items="fixed")
    means = (fixed.evidence.strategy_scores - fixed.evidence.baseline_scores).mean(1)
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    assert fixed.ci == pytest.approx((expected.low, expected.high))
    assert fixed.delta == random.delta and fixed.ci[1] - fixed.ci[0] < random.ci[1] - random.ci[0]
    assert "test_items" in fixed.conditional_on and "test_items" not in random.conditional_on
    assert (
        "FIXED ITEMS" in compare(tmp_path, items="fixed").to_table()
        and "FIXED" not in compare(tmp_path).to_table()
    )


def test_one_run_of_two_deterministic_arms_is_enough(tmp_path):
    write_run(tmp_path, "source_only", 0, 0.3, deterministic=True, source="printed")
    write_run(tmp_path, "tca", 0, 2.0, deterministic=True, label_budget=None, item_effect=0.0)
    (cell,) = compare(tmp_path, baseline="source_only")
    d = (cell.evidence.strategy_scores - cell.evidence.baseline_scores)[0]
    expected = stats.ttest_1samp(d, 0).confidence_interval()
    assert (cell.verdict, cell.seeds) == ("positive", 1)
    assert cell.ci == pytest.approx((expected.low, expected.high), rel=0.02)
    assert "training_set" in cell.conditional_on
    assert any(flag.startswith("given the training set") for flag in cell.flags)


def test_repeating_a_deterministic_run_is_no_evidence(tmp_path):
    for seeds, folder in ((1, tmp_path / "one"), (5, tmp_path / "five")):
        write_runs(folder, "source_only", 0.3, seeds=seeds, deterministic=True)
        write_runs(folder, "tca", 0.5, seeds=seeds, deterministic=True, label_budget=None)
    once, often = (compare(tmp_path / name, baseline="source_only").cells[0] for name in ("one", "five"))
    assert once.ci == often.ci and often.seeds == 5


def test_a_deterministic_run_without_labels_stands_beside_every_seed(tmp_path):
    write_runs(tmp_path, "source_only", 0.3)
    write_run(tmp_path, "tca", 0, 2.0, deterministic=True, label_budget=None)
    (cell,) = compare(tmp_path, baseline="source_only")
    assert cell.seeds == 5 and np.ptp(cell.evidence.strategy_scores, axis=0).max() == 0
    assert "training_set" not in cell.conditional_on


def test_deterministic_runs_on_other_labelled_subsets_are_seeds_like_any(tmp_path):
    for strategy, skill in (("scratch", 0.3), ("knn", 2.0)):
        write_runs(tmp_path, strategy, skill, deterministic=True)
    (cell,) = compare(tmp_path)
    assert (cell.seeds, cell.verdict) == (5, "positive") and "training_set" not in cell.conditional_on


def test_a_relative_margin_is_a_share_of_the_baselines_risk(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 0.8)
    comparison = compare(tmp_path, margin="relative:0.1")
    (cell,) = comparison
    assert cell.margin == pytest.approx(0.1 * (1 - cell.baseline_score))
    assert "margin ±10 % of the baseline's risk" in comparison.to_table()
    assert compare(tmp_path, margin="relative:0.1", metric="nll").cells[0].margin > 0
    assert compare(tmp_path, margin=0.02).cells[0].margin == 0.02


def test_bh_is_told_in_the_table(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 0.8)
    text = compare(tmp_path, correction="bh").to_table(150)
    assert "p (BH)" in text and "false discovery rate" in text and "Holm" not in text
