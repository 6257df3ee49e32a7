"""From a store of records to verdicts: rows, families, baselines, pairing."""

import json

import numpy as np
import pytest

from store_fixture import accuracy, edit, missing_job, write_plan, write_run, write_runs, write_store
from transferscope.comparison.compare import compare
from transferscope.errors import RequestError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "runs")


def only(comparison, **wanted):
    """The one cell with these values."""
    found = [cell for cell in comparison if all(getattr(cell, key) == value for key, value in wanted.items())]
    assert len(found) == 1, [cell.strategy for cell in found]
    return found[0]


# --- rows, families, plans


def test_every_cell_gets_its_verdict(store):
    comparison = compare(store)
    found = {(cell.strategy, cell.label_budget, cell.source, cell.variant): cell for cell in comparison}
    assert found["fine_tuning", 2, "printed", ""].verdict == "positive"
    assert found["dann", 10, "printed", ""].verdict == "negative"
    assert found["linear_probe", 10, "printed", ""].verdict == "undecided"
    assert ("fine_tuning", 2, "printed+letters", "") in found
    assert ("fine_tuning", 2, "printed", "source_label_noise=1.0") in found
    assert not any(cell.strategy == "scratch" for cell in comparison)
    assert [cell.label_budget for cell in comparison] == [2] * 7 + [10] * 8


def test_scores_and_delta_are_those_of_the_stored_probabilities(tmp_path):
    base, tuned = write_runs(tmp_path, "scratch", 0.5), write_runs(tmp_path, "fine_tuning", 1.0)
    (cell,) = compare(tmp_path)
    expected = [np.mean([accuracy(tmp_path, job["fingerprint"]) for job in arm]) for arm in (tuned, base)]
    assert [cell.strategy_score, cell.baseline_score] == pytest.approx(expected)
    assert cell.delta == pytest.approx(expected[0] - expected[1])
    assert (cell.seeds, cell.items, cell.item_unit) == (5, 300, "item")
    assert cell.evidence.strategy_scores.shape == cell.evidence.baseline_scores.shape == (5, 300)
    assert [path.name for path in cell.evidence.strategy_runs] == [job["fingerprint"] for job in tuned]
    assert cell.evidence.seeds == [0, 1, 2, 3, 4]


def test_what_is_missing_failed_and_not_applicable_is_listed(store):
    comparison = compare(store)
    assert [(row["strategy"], row["source"], row["seed"]) for row in comparison.missing] == [
        ("fine_tuning", "letters", 4)
    ]
    assert [(row["seed"], row["reason"]) for row in comparison.failed] == [
        (3, "RuntimeError: the disk is full")
    ]
    assert [(row["strategy"], row["reason"]) for row in comparison.not_applicable] == [
        ("dann", "strategy=dann needs shared classes; source=letters shares none")
    ]
    cell = only(comparison, source="letters")
    assert cell.seeds == 3
    assert any("interim: planned seeds 3, 4 without a result" in flag for flag in cell.flags)


def test_a_family_is_what_was_planned(store):
    comparison = compare(store)
    sizes = {cell.family: cell.family_size for cell in comparison}
    main_family = "demo/handwritten/scratch/accuracy/inductive"
    controls = "demo/handwritten/scratch/accuracy/inductive/controls"
    # 11 cells with labels, source_only at two budgets
    assert sizes == comparison.settings["families"] == {main_family: 13, controls: 2}
    assert {cell.family for cell in comparison if "noise" in cell.variant} == {controls}


def test_a_planned_cell_without_a_single_run_counts_in_its_family(tmp_path):
    jobs = write_runs(tmp_path, "scratch", 0.5) + write_runs(tmp_path, "fine_tuning", 1.0)
    lost = [missing_job(tmp_path, "dann", seed) for seed in range(5)]
    write_plan(tmp_path, "first", jobs + lost)
    comparison = compare(tmp_path)
    (cell,) = comparison
    assert cell.family_size == 2
    assert (
        len([row for row in comparison.missing if row["strategy"] == "dann" and row["seed"] is not None]) == 5
    )


def test_a_missing_arm_is_not_taken_for_its_sibling(tmp_path):
    """A sweep over learning rates, one of which has not run at all: both count, and the seeds of neither are
    missed in the other."""
    jobs = write_runs(tmp_path, "scratch", 0.5) + write_runs(
        tmp_path, "fine_tuning", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.001}}}
    )
    lost = [
        missing_job(tmp_path, "fine_tuning", seed, consumed={"trainer": {"optimizer": {"lr": 0.01}}})
        for seed in range(5)
    ]
    write_plan(tmp_path, "first", jobs + lost)
    (cell,) = compare(tmp_path)
    assert cell.family_size == 2
    assert not any("interim" in flag for flag in cell.flags)


def test_a_planned_arm_without_runs_refuses_nothing(tmp_path):
    jobs = [
        job
        for rate in (0.1, 0.2)
        for job in write_runs(tmp_path, "scratch", 0.5, consumed={"trainer": {"optimizer": {"lr": rate}}})
    ]
    jobs += write_runs(tmp_path, "fine_tuning", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.1}}})
    write_plan(tmp_path, "first", [*jobs, missing_job(tmp_path, "dann", 0)])
    assert [cell.strategy for cell in compare(tmp_path)] == ["fine_tuning"]


def test_verdicts_do_not_change_when_another_experiment_arrives(tmp_path):
    jobs = write_runs(tmp_path, "scratch", 0.5) + write_runs(tmp_path, "fine_tuning", 0.8)
    write_plan(tmp_path, "first", jobs)
    before = compare(tmp_path)
    later = [
        job
        for k in range(6)
        for job in write_runs(tmp_path, "dann", 0.5, consumed={"strategy": {"trade_off": k}})
    ]
    write_plan(tmp_path, "second", jobs + later, created="2025-02-01T00:00:00+00:00")
    after = only(compare(tmp_path), strategy="fine_tuning")
    assert after.to_dict() == before.cells[0].to_dict()
    assert (
        only(compare(tmp_path), variant="strategy.trade_off=3").family
        == "second/handwritten/scratch/accuracy/inductive"
    )
    assert only(compare(tmp_path), variant="strategy.trade_off=3").family_size == 6


def test_a_sweep_shows_its_cells_with_the_verdicts_of_the_store(tmp_path):
    jobs = (
        write_runs(tmp_path, "scratch", 0.5)
        + write_runs(tmp_path, "fine_tuning", 0.8)
        + write_runs(tmp_path, "linear_probe", 0.6)
    )
    write_plan(tmp_path, "first", jobs)
    folder = write_plan(
        tmp_path,
        "second",
        jobs[:10] + [missing_job(tmp_path, "dann", 0)],
        created="2025-02-01T00:00:00+00:00",
    )
    view = compare(folder)
    assert [cell.to_dict() for cell in view] == [only(compare(tmp_path), strategy="fine_tuning").to_dict()]
    assert [row["strategy"] for row in view.missing if row["seed"] is not None] == ["dann"]
    assert [cell.strategy for cell in compare(tmp_path / "sweeps" / "first")] == [
        "fine_tuning",
        "linear_probe",
    ]


def test_commands_without_a_name_join_one_family(tmp_path):
    """Whatever they were called by hash, and single runs of no plan at all: twelve commands of one strategy
    each are no twelve families of one."""
    base = write_runs(tmp_path, "scratch", 0.5)
    write_plan(tmp_path, "sweep-0a1b2c3d", base + write_runs(tmp_path, "fine_tuning", 1.0))
    write_plan(
        tmp_path,
        "sweep-99999999",
        base + write_runs(tmp_path, "linear_probe", 0.6),
        created="2025-01-02T00:00:00+00:00",
    )
    write_runs(tmp_path, "dann", 0.4)
    write_plan(
        tmp_path,
        "named",
        write_runs(tmp_path, "target_only", 0.9, initialisation="pretrained"),
        created="2025-01-03T00:00:00+00:00",
    )
    comparison = compare(tmp_path)
    families = {cell.strategy: (cell.family, cell.family_size) for cell in comparison}
    unnamed = "unnamed/handwritten/scratch/accuracy/inductive"
    assert families.pop("target_only") == ("named/handwritten/scratch/accuracy/inductive", 1)
    assert families == dict.fromkeys(("fine_tuning", "linear_probe", "dann"), (unnamed, 3))
    heading = comparison.to_table()
    assert "so far, 3 cells in unnamed/handwritten" in heading and "sweep=NAME" in heading
    assert (
        "other plans in this store, with families of their own: 2 beside named, 1 beside unnamed"
        in " ".join(heading.split())
    )


def test_a_plan_with_looks_is_a_family_of_its_own_without_a_name(tmp_path):
    path = (
        write_plan(
            tmp_path,
            "sweep-0a1b2c3d",
            write_runs(tmp_path, "scratch", 0.5) + write_runs(tmp_path, "fine_tuning", 1.0),
        )
        / "plan.json"
    )
    looks = {
        "baseline": "scratch",
        "metric": "accuracy",
        "selection": "last",
        "margin": 0.01,
        "alpha": 0.05,
        "looks": [5, 7],
        "taken": 0,
    }
    path.write_text(json.dumps({**json.loads(path.read_text()), "sequential": {**looks, "cells": []}}))
    (cell,) = compare(tmp_path)
    assert cell.family == "sweep-0a1b2c3d/handwritten/scratch/accuracy/inductive"


def test_seeds_added_after_the_plan_are_told(tmp_path):
    write_plan(
        tmp_path,
        "first",
        write_runs(tmp_path, "scratch", 0.5, seeds=3) + write_runs(tmp_path, "fine_tuning", 1.0, seeds=3),
    )
    more = write_runs(tmp_path, "scratch", 0.5) + write_runs(tmp_path, "fine_tuning", 1.0)
    write_plan(tmp_path, "second", more, created="2025-02-01T00:00:00+00:00")
    (cell,) = compare(tmp_path)
    assert cell.seeds == 5 and any("seeds 3, 4 came after the plan" in flag for flag in cell.flags)


def test_protocols_are_never_in_one_family(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    for protocol in ("inductive", "transductive"):
        write_runs(tmp_path, "dann", 1.0, protocol=protocol)
    assert len({cell.family for cell in compare(tmp_path, protocol="both")}) == 2


def test_a_table_that_mixes_protocols_is_refused_unless_asked_for(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    for protocol in ("inductive", "transductive"):
        write_runs(tmp_path, "dann", 1.0, protocol=protocol)
    with pytest.raises(RequestError, match="--protocol: .*give inductive, transductive, or both"):
        compare(tmp_path)
    alone = {name: list(compare(tmp_path, protocol=name)) for name in ("inductive", "transductive")}
    assert {name: [cell.protocol for cell in cells] for name, cells in alone.items()} == {
        name: [name] for name in alone
    }
    both = compare(tmp_path, protocol="both")
    assert [cell.to_dict() for cell in both] == [cell.to_dict() for cells in alone.values() for cell in cells]
    assert "TRANSDUCTIVE: cells so marked" in both.to_table()
    with pytest.raises(
        RequestError, match="--protocol transduktive: not one of inductive, transductive, both; did you mean"
    ):
        compare(tmp_path, protocol="transduktive")


def test_trials_stay_out(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 1.0, role="trial")
    assert len(compare(tmp_path)) == 0


def test_what_else_a_run_consumes_makes_another_cell(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    for steps in (300, 600):
        write_runs(tmp_path, "fine_tuning", 1.0, consumed={"trainer": {"steps": steps}})
    comparison = compare(tmp_path)
    assert [cell.variant for cell in comparison] == ["trainer.steps=300", "trainer.steps=600"]
    assert [
        any("unlike baseline: trainer.steps 600 vs 300" in flag for flag in cell.flags) for cell in comparison
    ] == [False, True]


# --- baselines


def baseline_of(cell):
    (record,) = {
        json.dumps(cell.evidence.records[folder]["cell"], sort_keys=True)
        for folder in cell.evidence.baseline_runs
    }
    return json.loads(record)


def test_target_only_keeps_the_cells_own_start(tmp_path):
    pretrained = {"backbone": {"weights": "pretrained"}}
    write_runs(tmp_path, "scratch", 0.3)
    write_runs(tmp_path, "target_only", 0.6, initialisation="pretrained")
    write_runs(tmp_path, "fine_tuning", 0.8, initialisation="source")
    write_runs(tmp_path, "fine_tuning", 0.8, initialisation="source", source="letters", consumed=pretrained)
    write_runs(tmp_path, "dann", 0.8, initialisation="pretrained")
    write_runs(tmp_path, "joint", 0.8, initialisation="random")
    comparison = compare(tmp_path, baseline="target_only")
    held = {(cell.strategy, cell.source): baseline_of(cell)["strategy"] for cell in comparison}
    assert held == {
        ("fine_tuning", "printed"): "scratch",
        ("fine_tuning", "letters"): "target_only",
        ("dann", "printed"): "target_only",
        ("joint", "printed"): "scratch",
    }


def test_source_only_is_compared_at_every_budget(tmp_path):
    for budget in (2, 10):
        write_runs(tmp_path, "scratch", 0.5, label_budget=budget)
        write_runs(tmp_path, "fine_tuning", 0.8, label_budget=budget)
    write_runs(tmp_path, "source_only", 0.2)
    rows = [(cell.strategy, cell.label_budget) for cell in compare(tmp_path)]
    assert rows == [("fine_tuning", 2), ("source_only", 2), ("fine_tuning", 10), ("source_only", 10)]
    gain = compare(tmp_path, baseline="source_only")
    assert [(cell.strategy, cell.label_budget) for cell in gain] == [("fine_tuning", 2), ("fine_tuning", 10)]
    assert "adapting gains" in gain.to_table() and "negative transfer" not in gain.to_table()


def test_target_full_is_the_ceiling(tmp_path):
    write_runs(tmp_path, "scratch", 2.0, label_budget="full")
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 0.8)
    comparison = compare(tmp_path, baseline="target_full")
    assert {(cell.strategy, cell.label_budget, cell.verdict) for cell in comparison} == {
        ("scratch", 10, "negative"),
        ("fine_tuning", 10, "negative"),
    }
    assert "negative transfer" not in comparison.to_table()
    assert not any("labelled subsets" in flag for cell in comparison for flag in cell.flags)


def test_shuffled_source_is_the_same_cell_with_other_labels(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 1.0)
    shuffled = write_runs(tmp_path, "fine_tuning", 0.5, consumed={"source_label_noise": 1.0})
    write_runs(tmp_path, "fine_tuning", 0.7, consumed={"source_label_noise": 0.5})
    (cell,) = compare(tmp_path, baseline="shuffled_source")
    assert [folder.name for folder in cell.evidence.baseline_runs] == [job["fingerprint"] for job in shuffled]


def test_an_ambiguous_baseline_is_refused_and_can_be_named(tmp_path):
    for rate in (0.001, 0.01):
        write_runs(tmp_path, "scratch", 0.5 + 10 * rate, consumed={"trainer": {"optimizer": {"lr": rate}}})
    write_runs(tmp_path, "fine_tuning", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.01}}})
    (cell,) = compare(tmp_path)  # the one that agrees
    assert {
        record["consumed"]["trainer"]["optimizer"]["lr"] for record in cell.evidence.records.values()
    } == {0.01}
    write_runs(tmp_path, "dann", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.1}}})
    with pytest.raises(
        RequestError,
        match=(
            r"trainer.optimizer.lr=0.001 or trainer.optimizer.lr=0.01.*--baseline "
            r"'scratch:trainer.optimizer.lr=0.0"
        ),
    ):
        compare(tmp_path)
    comparison = compare(tmp_path, baseline="scratch:trainer.optimizer.lr=1e-3")
    for cell in comparison:
        assert {
            cell.evidence.records[run]["consumed"]["trainer"]["optimizer"]["lr"]
            for run in cell.evidence.baseline_runs
        } == {0.001}


def test_a_cell_without_a_baseline_is_missing(tmp_path):
    write_runs(tmp_path, "fine_tuning", 1.0)
    comparison = compare(tmp_path)
    assert len(comparison) == 0
    assert (
        comparison.missing[0]["strategy"] == "fine_tuning" and "no scratch" in comparison.missing[0]["reason"]
    )
    assert (
        comparison.to_table() and comparison.to_markdown() and json.loads(comparison.to_json())["cells"] == []
    )


# --- pairing


def test_items_are_paired_by_id_not_by_place(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0)
    before = compare(tmp_path).cells[0].to_dict()

    def shuffle(members):
        order = np.random.default_rng(0).permutation(300)
        for name in members:
            if name.startswith("handwritten/test/") and not name.endswith("classes"):
                members[name] = members[name][order]

    edit(tmp_path, tuned[2]["fingerprint"], shuffle)
    assert compare(tmp_path).cells[0].to_dict() == before


def test_other_test_items_are_refused(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, split_seed=1)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0)
    named = f"run {tuned[0]['fingerprint']} .fine_tuning, printed → handwritten, labels 10"
    with pytest.raises(
        RequestError, match=f"{named}.* not tested on the same items: 300 only in the first, 300 only"
    ):
        compare(tmp_path)


def test_the_same_items_with_other_labels_are_refused(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0)
    edit(
        tmp_path,
        tuned[1]["fingerprint"],
        lambda members: members.update({"handwritten/test/labels": 9 - members["handwritten/test/labels"]}),
    )
    with pytest.raises(RequestError, match="different labels"):
        compare(tmp_path)


def test_only_seeds_of_both_arms_count(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, seeds=3)
    write_runs(tmp_path, "fine_tuning", 1.0, seeds=5)
    (cell,) = compare(tmp_path)
    assert cell.evidence.seeds == [0, 1, 2]
    assert "seeds 3, 4 left out: no run of the baseline to pair with" in cell.flags


def test_other_labelled_subsets_are_listed_not_compared(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0)
    path = tmp_path / tuned[3]["fingerprint"] / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"subset": "another"}))
    comparison = compare(tmp_path)
    assert len(comparison) == 0
    (row,) = comparison.missing
    assert row["strategy"] == "fine_tuning" and "different labelled subsets: seed 3" in row["reason"]


def test_groups_are_the_unit(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, group_size=10)
    write_runs(tmp_path, "fine_tuning", 1.0, group_size=10)
    (cell,) = compare(tmp_path)
    assert (cell.items, cell.item_unit) == (30, "group")
    assert cell.delta == pytest.approx(cell.strategy_score - cell.baseline_score)


def test_one_seed_is_undecided_without_an_interval(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, seeds=1)
    write_runs(tmp_path, "fine_tuning", 3.0, seeds=1)
    (cell,) = compare(tmp_path)
    assert (cell.verdict, cell.ci, cell.p_adjusted) == ("undecided", None, None) and cell.reason.startswith(
        "one seed"
    )
    assert "one seed" in compare(tmp_path).to_table(width=80)


def test_collapsed_and_diverged_runs_stay_and_are_counted(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 2.0, seeds=4)
    write_run(tmp_path, "fine_tuning", 4, 2.0, status="collapsed")
    write_runs(tmp_path, "dann", 2.0, seeds=4)
    write_run(tmp_path, "dann", 4, 2.0, status="diverged")
    for strategy in ("fine_tuning", "dann"):
        cell = only(compare(tmp_path), strategy=strategy)
        assert (cell.seeds, cell.collapsed, cell.verdict) == (5, 1, "undecided")
        assert cell.reason.startswith("collapse")
        assert cell.without_collapse["seeds"] == 4 and cell.without_collapse["delta"] > 0
    assert "1 of 5 strategy runs collapsed or diverged (rate 1 to 72 %" in compare(tmp_path).to_table()


def test_a_run_that_ends_in_nan_scores_its_last_finite_evaluation(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = [write_run(tmp_path, "fine_tuning", seed, 1.0, status="diverged") for seed in range(5)]
    (cell,) = compare(tmp_path)
    assert cell.strategy_score == pytest.approx(
        np.mean([accuracy(tmp_path, job["fingerprint"], step=200) for job in tuned])
    )
    for job in tuned:
        edit(
            tmp_path,
            job["fingerprint"],
            lambda members: [m.fill(np.nan) for name, m in members.items() if "test/probabilities" in name],
        )
    (cell,) = compare(tmp_path)
    assert cell.strategy_score == pytest.approx(0.1)
    assert "strategy: a run without a finite evaluation scores chance" in cell.flags
