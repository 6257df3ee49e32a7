"""The share of the way from a baseline to training on every target label."""

import csv
import io
import json

import numpy as np
import pytest

from store_fixture import accuracy, write_run, write_runs
from transferscope.comparison.compare import compare
from transferscope.report.page import render

HEADING = "way to target_full"


def with_ceiling(store, full=2.0, **more):
    jobs = {
        "base": write_runs(store, "scratch", 0.0, **more),
        "cell": write_runs(store, "fine_tuning", 0.8, initialisation="source", **more),
        "full": write_runs(store, "scratch", full, label_budget="full", **more),
    }
    return {
        name: np.mean([accuracy(store, job["fingerprint"]) for job in found]) for name, found in jobs.items()
    }


def test_the_gain_is_told_as_a_share_of_the_way(tmp_path):
    score = with_ceiling(tmp_path)
    comparison = compare(tmp_path)
    (cell,) = comparison
    assert cell.target_full_score == pytest.approx(score["full"])
    assert cell.share_of_way == pytest.approx(
        (score["cell"] - score["base"]) / (score["full"] - score["base"])
    )
    low, high = cell.share_of_way_ci
    assert 0 < low < cell.share_of_way < high < 1
    text = comparison.to_table(200)
    assert (
        HEADING in text
        and f"{100 * cell.share_of_way:.0f} % [{100 * low:.0f}, {100 * high:.0f}]" in " ".join(text.split())
    )
    assert json.loads(comparison.to_json())["cells"][0]["share_of_way_ci"] == [low, high]
    (row,) = csv.DictReader(io.StringIO(comparison.to_csv()))
    assert (float(row["share_of_way"]), float(row["share_of_way_ci_low"])) == pytest.approx(
        (cell.share_of_way, low)
    )
    assert HEADING in render(comparison)


def test_where_it_was_not_run_nothing_is_said(tmp_path):
    write_runs(tmp_path, "scratch", 0.0)
    write_runs(tmp_path, "fine_tuning", 0.8, initialisation="source")
    comparison = compare(tmp_path)
    (cell,) = comparison
    assert (cell.target_full_score, cell.share_of_way, cell.share_of_way_ci) == (None, None, None)
    assert (
        HEADING not in " ".join(comparison.to_table(200).split())
        and HEADING not in render(comparison)
        and not cell.flags
    )


def test_a_ceiling_that_is_not_surely_above_gives_no_share_and_says_so(tmp_path):
    with_ceiling(tmp_path, full=0.0)
    (cell,) = compare(tmp_path)
    assert cell.target_full_score is not None and cell.share_of_way is None
    assert (
        "share of the way to target_full not told: target_full is not surely above the baseline" in cell.flags
    )


@pytest.mark.parametrize("baseline", ["naive", "target_full"])
def test_against_other_baselines(tmp_path, baseline):
    """The naive predictor needs no run; target_full itself is at the end of the way."""
    score = with_ceiling(tmp_path)
    write_runs(tmp_path, "dann", 0.5)
    cells = [cell for cell in compare(tmp_path, baseline=baseline) if cell.strategy == "fine_tuning"]
    for cell in cells:
        expected = (score["cell"] - 0.1) / (score["full"] - 0.1) if baseline == "naive" else None
        assert cell.share_of_way == (expected and pytest.approx(expected))
    assert cells


def test_seeds_that_it_lacks_are_left_out_of_the_share_alone(tmp_path):
    write_runs(tmp_path, "scratch", 0.0)
    write_runs(tmp_path, "fine_tuning", 0.8, initialisation="source")
    write_runs(tmp_path, "scratch", 2.0, seeds=3, label_budget="full")
    (cell,) = compare(tmp_path)
    seen = cell.evidence
    own = seen.strategy_scores[:3].mean() - seen.baseline_scores[:3].mean()
    assert cell.seeds == 5 and cell.share_of_way == pytest.approx(
        own / (cell.target_full_score - seen.baseline_scores[:3].mean())
    )


def test_one_seed_and_a_choice_of_several_are_said(tmp_path):
    write_runs(tmp_path / "one", "scratch", 0.0, seeds=1)
    write_runs(tmp_path / "one", "dann", 0.8, seeds=1)
    write_runs(tmp_path / "one", "scratch", 2.0, seeds=1, label_budget="full")
    assert "share of the way to target_full not told: one seed" in compare(tmp_path / "one").cells[0].flags
    with_ceiling(tmp_path / "two")
    write_runs(
        tmp_path / "two",
        "scratch",
        2.0,
        label_budget="full",
        consumed={"trainer": {"optimizer": {"lr": 0.1}}},
    )
    write_run(tmp_path / "two", "dann", 0, 0.8, consumed={"trainer": {"optimizer": {"lr": 0.01}}})
    (flag,) = (flag for cell in compare(tmp_path / "two") for flag in cell.flags if "not told" in flag)
    assert "2 arms could be the baseline" in flag
