"""Subgroups, forgetting, calibration and regret, from whole stores."""

from pathlib import Path

import numpy as np
import pytest

from store_fixture import edit, write_runs
from transferscope.comparison import scores
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence import calibration_change, forgetting, parts, regret
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.store.record import AT_CHANCE, read_record

TEST = "handwritten/test"


def cell_of(store: Path, change=None, **choices):
    """fine_tuning against scratch; `change` edits the members of its runs."""
    write_runs(store, "scratch", 1.5, n=300)
    for job in write_runs(store, "fine_tuning", 1.5, n=300, **{"initialisation": "source"} | choices):
        if change:
            edit(store, job["fingerprint"], change)
    (cell,) = compare(store)
    return cell


def test_the_subgroup_that_pays_is_found_and_columns_of_item_names_are_not_split(tmp_path):
    def change(members: dict) -> None:
        members[f"{TEST}/metadata/ward"] = np.array(["north", "south", "west"])[np.arange(300) % 3]
        members[f"{TEST}/metadata/patient"] = np.arange(300)
        members[f"{TEST}/probabilities/000300"][np.arange(300) % 3 == 1] = 0.1  # ties: the first class

    cell = cell_of(tmp_path, change)
    found = parts.judge_parts([cell], 0.05, PredictionReader())[0].subgroups
    assert list(found) == ["ward"] and [part.n for part in found["ward"]] == [100] * 3
    assert parts.worst(found["ward"]).name == "south"


def test_per_class_differences_average_to_the_whole_and_are_in_accuracy_whatever_is_judged(tmp_path):
    cell = cell_of(tmp_path)
    found = parts.judge_parts([cell], 0.05, PredictionReader())[0].classes
    assert np.mean([part.delta for part in found]) == pytest.approx(cell.delta)
    for metric in ("macro_f1", "nll", "brier"):
        assert (
            parts.judge_parts(compare(tmp_path, metric=metric).cells, 0.05, PredictionReader())[0].classes
            == found
        )


def test_where_the_naive_predictor_stands_in_classes_are_held_against_it_too(tmp_path):
    counts = {"target": {f"class{k}": 10 for k in range(10)}}
    write_runs(tmp_path, "scratch", 0.0, status="collapsed", reason=AT_CHANCE[0], class_counts=counts)
    write_runs(tmp_path, "fine_tuning", 1.5, class_counts=counts)
    (cell,) = compare(tmp_path, metric="nll")
    assert cell.evidence.held_against is cell.evidence.naive_scores
    found = parts.judge_parts([cell], 0.05, PredictionReader())[0].classes
    right = np.mean([run.right for run in PredictionReader().arm(cell, cell.evidence.strategy_runs)], axis=0)
    # of ten tied classes one in ten is named
    by_class = [right[cell.evidence.labels == k].mean() - 0.1 for k in range(10)]
    assert [part.delta for part in found] == pytest.approx(by_class)


def test_forgetting_is_told_from_the_source_items_before_and_after(tmp_path):
    def forget(members: dict) -> None:
        right, wrong = (
            np.eye(10, dtype=np.float32)[(members["printed/val/labels"] + k) % 10] for k in (0, 1)
        )
        members["printed/val/probabilities/000000"] = right
        members["printed/val/probabilities/000300"] = np.where(np.arange(60)[:, None] < 30, wrong, right)

    (found,) = forgetting.measure(cell_of(tmp_path, forget), 0.05)
    assert (found.source, found.before, found.after, found.change, found.items) == (
        "printed",
        1.0,
        0.5,
        -0.5,
        60,
    )
    assert found.ci[1] < 0


def test_a_strategy_that_does_not_start_from_the_source_model_forgets_nothing(tmp_path):
    assert forgetting.measure(cell_of(tmp_path, initialisation="random"), 0.05) == []


def test_certainty_costs_likelihood_and_its_calibration_error_is_the_error_rate(tmp_path):
    def sharpen(members: dict) -> None:
        certain = np.eye(10, dtype=np.float32)[members[f"{TEST}/probabilities/000300"].argmax(1)]
        members[f"{TEST}/probabilities/000300"] = 0.9999 * certain + 0.00001

    cell = cell_of(tmp_path, sharpen)
    found = calibration_change.measure(cell, 0.05, PredictionReader())
    assert found.strategy_ece == pytest.approx(1 - cell.strategy_score, abs=0.001)
    assert (
        found.nll_change == pytest.approx(found.strategy_nll - found.baseline_nll) and found.nll_change > 0.2
    )
    assert found.ci[0] < found.nll_change < found.ci[1]


def test_regret_of_a_rule_is_what_the_best_evaluation_is_above_its_choice(tmp_path):
    found = regret.regrets([cell_of(tmp_path, peak=200)])
    assert "oracle" not in found.mean and found.mean["last"] > 0.05 and found.cells == 1
    assert found.mean["target_val"] <= found.mean["last"] and list(found.mean) == sorted(
        found.mean, key=found.mean.get
    )


def test_evaluations_that_are_equally_good_cost_nothing(tmp_path):
    """Best of ten on the items that score it, they would cost 3 points."""
    steps, rng, taken = tuple(range(0, 1000, 100)), np.random.default_rng(0), []
    for k in range(40):
        (job,) = write_runs(tmp_path / str(k), "scratch", 1.0, seeds=1, n=200, steps=steps)
        folder = tmp_path / str(k) / job["fingerprint"]
        edit(tmp_path / str(k), job["fingerprint"], lambda members: equally_good(members, steps, rng))
        taken.append(scores.regret(folder, read_record(folder), "accuracy", "last"))
    assert abs(np.mean(taken)) < 3 * np.std(taken) / 40**0.5 and np.std(taken) / 40**0.5 < 0.006


def equally_good(members: dict, steps: tuple[int, ...], rng: np.random.Generator) -> None:
    labels = members[f"{TEST}/labels"]
    for step in steps:
        answered = np.where(rng.random(len(labels)) < 0.8, labels, (labels + 1) % 10)
        members[f"{TEST}/probabilities/{step:06d}"] = np.eye(10, dtype=np.float32)[answered]


def test_rules_are_held_against_each_other_where_all_of_them_apply():
    on = {"last": {0: 0.1, 1: 0.3}, "target_val": {1: 0.2}, "source_val": {2: 0.0}}
    found = regret._on_common_cells(on)
    assert (found.mean, found.cells) == ({"target_val": 0.2, "last": 0.3}, 1)
    assert found.left_out == "source_val: no cell in common with the others"


def test_regret_of_a_large_store_is_said_to_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(regret, "MOST_RUNS", 3)
    found = regret.regrets([cell_of(tmp_path)])
    assert found.mean == {} and found.left_out.startswith("not told for 5 runs")
