"""A baseline at chance in all of its runs: what may be said of a strategy that is not."""

import json

import numpy as np
import pytest

from store_fixture import write_plan, write_run, write_runs
from transferscope.cli import compare as command
from transferscope.comparison.compare import compare

CONSTANT = {"status": "collapsed", "reason": "constant predictor: one class for 100% of the test items"}
FLAG = "the baseline learnt nothing in these steps (failure rate ≥ 48 %, 5 of 5)"


def planted(store, seeds=5, skill=0.8, **more):
    """scratch at chance in every run, and a strategy far above."""
    jobs = write_runs(store, "scratch", 0.3, seeds=seeds, **CONSTANT, **more)
    jobs += write_runs(
        store, "fine_tuning", skill, seeds=seeds, initialisation="source", seed_effect=0.15, **more
    )
    write_plan(store, "one", jobs)
    return jobs


def test_a_baseline_at_chance_in_every_run_hides_no_gain(tmp_path):
    planted(tmp_path)
    comparison = compare(tmp_path)
    (cell,) = comparison
    assert cell.delta == pytest.approx(0.667, abs=0.03) and cell.ci[0] > 0.5
    assert (cell.verdict, cell.baseline_collapsed, cell.no_harm) == ("positive", 5, True)
    assert (
        FLAG in cell.flags and cell.p_adjusted < 0.001 and FLAG in " ".join(comparison.to_table(80).split())
    )


def test_fewer_than_five_runs_say_too_little_of_it(tmp_path):
    planted(tmp_path, seeds=4)
    (cell,) = compare(tmp_path)
    assert cell.verdict == "undecided" and cell.reason.startswith("collapse: 4 of 4 baseline runs")


@pytest.mark.parametrize(
    "other",
    [
        {"status": "done", "reason": ""},
        {"status": "diverged", "reason": "loss is not finite"},
        {
            "status": "collapsed",
            "reason": "saturated discriminator: cross-entropy 0.001 over the last interval",
        },
    ],
)
def test_one_run_that_is_not_at_chance_leaves_it_as_it_was(tmp_path, other):
    """A diverged run may have learnt before, and a saturated discriminator is no chance-level predictor."""
    for seed in range(5):
        write_run(tmp_path, "scratch", seed, 0.3, **(other if seed == 2 else CONSTANT))
    write_runs(tmp_path, "fine_tuning", 1.1, initialisation="source")
    (cell,) = compare(tmp_path)
    assert cell.verdict == "undecided" and cell.reason.startswith("collapse: ") and FLAG not in cell.flags


def test_a_collapse_of_the_strategy_leaves_it_as_it_was(tmp_path):
    write_runs(tmp_path, "scratch", 0.3, seeds=6, **CONSTANT)
    for seed in range(6):
        write_run(
            tmp_path, "fine_tuning", seed, 1.1, initialisation="source", **(CONSTANT if seed == 2 else {})
        )
    (cell,) = compare(tmp_path)
    assert cell.verdict == "undecided" and "1 of 6 strategy runs and 6 of 6 baseline runs" in cell.reason


def test_one_run_that_stands_for_five_seeds_is_one(tmp_path):
    write_run(tmp_path, "source_only", 0, 0.3, deterministic=True, **CONSTANT)
    write_runs(tmp_path, "tca", 1.1, label_budget=None)
    (cell,) = compare(tmp_path, baseline="source_only")
    assert (
        cell.seeds == 5
        and cell.verdict == "undecided"
        and not any("learnt nothing" in flag for flag in cell.flags)
    )


def test_it_is_never_equivalent(tmp_path):
    planted(tmp_path, skill=-1.5)
    (cell,) = compare(tmp_path, margin=0.5)
    assert (
        cell.delta > 0 and max(map(abs, cell.ci)) < 0.5 and cell.verdict == "undecided" and FLAG in cell.flags
    )


def uneven(shares):
    return {f"class{c}": shares.get(c, 0) + 1 for c in range(10)}


def with_other_labels(store, fingerprints, labels):
    """Other labels of the test items: most are of class 5."""
    for name in fingerprints:
        path = store / name / "evaluations.npz"
        with np.load(path) as members:
            arrays = {key: members[key] for key in members.files}
        right = arrays["handwritten/test/probabilities/000300"].argmax(1) == arrays["handwritten/test/labels"]
        expected = np.where(right, labels, (labels + 1) % 10)
        answers = expected if right.mean() > 0.2 else np.zeros(300, int)
        arrays["handwritten/test/labels"] = labels
        arrays["handwritten/test/probabilities/000300"] = np.eye(10, dtype=np.float32)[answers]
        np.savez(path, **arrays)


@pytest.mark.parametrize(("skill", "verdict"), [(1.1, "positive"), (-0.2, "undecided")])
def test_where_the_naive_predictor_is_better_the_strategy_is_held_against_it(tmp_path, skill, verdict):
    """Three of five test items are of class 5, as the labelled ones are; the baseline names class 0."""
    full = {"label_budget": "full", "class_counts": {"target": uneven({5: 100})}}
    jobs = write_runs(tmp_path, "scratch", 0.3, **CONSTANT, **full) + write_runs(
        tmp_path, "fine_tuning", skill, initialisation="source", **full
    )
    labels = np.r_[np.full(180, 5), np.arange(120) % 10]
    with_other_labels(tmp_path, [job["fingerprint"] for job in jobs], labels)
    (cell,) = compare(tmp_path)
    assert cell.baseline_score == pytest.approx(0.64) and cell.delta == pytest.approx(
        cell.strategy_score - 0.64
    )
    assert cell.strategy_score > 0.3  # above the baseline's 4 points in either case
    assert cell.verdict == verdict
    assert f"{FLAG}; held against the naive predictor, whose 64.0 are more than its 4.0" in cell.flags
    if verdict == "undecided":
        assert cell.reason == (
            "collapse: all 5 baseline runs are at chance, and the strategy scores no more than the naive "
            "predictor"
        )


def test_a_store_of_an_earlier_version_says_what_it_cannot_tell(tmp_path, capsys):
    planted(tmp_path, label_budget="full")
    assert command.main([str(tmp_path), "--format", "json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert cell["verdict"] == "undecided" and cell["reason"].startswith("collapse: 5 of 5 baseline runs")
    assert any("naive: not told: the record does not say the class shares" in flag for flag in cell["flags"])


def test_contrasts_go_by_the_same_rule_and_say_so(tmp_path):
    planted(tmp_path)
    write_runs(
        tmp_path,
        "fine_tuning",
        0.3,
        initialisation="source",
        consumed={"source_label_noise": 1.0},
        **CONSTANT,
    )
    rows = {row.contrast: row for row in compare(tmp_path).contrasts}
    labels = rows["strategy − shuffled_source"]
    assert labels.verdict == "decided" and labels.delta > 0.5 and FLAG in labels.notes
