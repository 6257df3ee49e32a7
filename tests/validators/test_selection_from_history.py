"""`compare --selection VALIDATOR`: the evaluation with the best value in history.csv."""

import csv

import numpy as np
import pytest

from store_fixture import accuracy, edit, write_runs
from transferscope import validators
from transferscope.comparison import scores
from transferscope.comparison.compare import compare
from transferscope.errors import RequestError
from transferscope.store.record import read_record

STEPS = (0, 100, 200, 300)


def write_values(store, job, values: list[float | str], validator: str = "snd") -> None:
    with open(store / job["fingerprint"] / "history.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [["step", "seconds", f"validator/{validator}"], *zip(STEPS, STEPS, values, strict=False)]
        )


def selected(store, values: list[float | str], validator: str = "snd") -> int:
    """The step that is taken of a run with these values."""
    (job,) = write_runs(store, "scratch", 0.5, seeds=1)
    write_values(store, job, values, validator)
    folder = store / job["fingerprint"]
    return scores.read_scores(folder, read_record(folder), "accuracy", validator).step


def test_compare_knows_the_validators_that_training_reads():
    # by name: whoever compares imports nothing of training
    assert set(validators.label_free())
    assert set(validators.label_free()) < set(scores.selections())


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.1, 0.2, 0.9, 0.3], 200),
        ([9.9, 0.2, 0.9, 0.3], 200),  # the untrained network is not a candidate
        ([0.1, 0.9, 0.2, 0.9], 100),  # the earliest of equals
        ([-3, -2, -1, -4], 200),
        ([0.1, "", "nan", 0.2], 300),
        ([0.1, "inf", 0.3, 0.2], 200),
        ([0.1], 0),  # diverged before the first interval ended
        ([0.1, "", "", ""], 0),
    ],
)
@pytest.mark.parametrize("validator", validators.label_free())
def test_the_best_finite_value_after_training_began(tmp_path, validator, values, step):
    assert selected(tmp_path, values, validator) == step


def test_the_verdict_and_the_regret_are_of_the_selected_evaluations(tmp_path):
    arms = {name: write_runs(tmp_path, name, 1.0, peak=200) for name in ("scratch", "fine_tuning")}
    for job in arms["scratch"]:
        write_values(tmp_path, job, [0, 3, 2, 1])
    for job in arms["fine_tuning"]:
        write_values(tmp_path, job, [0, 1, 3, 2])
    (cell,) = compare(tmp_path, selection="snd")
    at = {"scratch": 100, "fine_tuning": 200}
    means = {
        name: np.mean([accuracy(tmp_path, job["fingerprint"], at[name]) for job in jobs])
        for name, jobs in arms.items()
    }
    assert cell.selection == "snd"
    assert cell.strategy_score == pytest.approx(
        means["fine_tuning"]
    ) and cell.baseline_score == pytest.approx(means["scratch"])
    # 200 is the best of either
    assert cell.regret["baseline"] > 0 and cell.regret["strategy"] == pytest.approx(0.0, abs=0.02)


def test_an_evaluation_that_is_not_finite_on_the_test_items_is_passed_over(tmp_path):
    (job,) = write_runs(tmp_path, "scratch", 0.5, seeds=1)
    write_values(tmp_path, job, [0, 1, 3, 2])
    edit(
        tmp_path,
        job["fingerprint"],
        lambda members: members["handwritten/test/probabilities/000200"].fill(np.nan),
    )
    folder = tmp_path / job["fingerprint"]
    assert scores.read_scores(folder, read_record(folder), "accuracy", "snd").step == 300


def test_a_run_that_was_never_finite_scores_chance_and_stays_in_the_cell(tmp_path):
    (job,) = write_runs(tmp_path, "scratch", 0.5, seeds=1)
    write_values(tmp_path, job, ["", "", "", ""])
    edit(
        tmp_path,
        job["fingerprint"],
        lambda members: [p.fill(np.nan) for name, p in members.items() if "test/probabilities" in name],
    )
    folder = tmp_path / job["fingerprint"]
    read = scores.read_scores(folder, read_record(folder), "accuracy", "snd")
    assert read.step is None and (read.scores == 0.1).all()


@pytest.mark.parametrize("spoil", ["no column", "no file"])
def test_runs_without_values_are_told_apart(tmp_path, spoil):
    for name in ("scratch", "fine_tuning"):
        for job in write_runs(tmp_path, name, 1.0, seeds=2):
            if spoil == "no file":
                (tmp_path / job["fingerprint"] / "history.csv").unlink()
            else:
                write_values(tmp_path, job, [1, 2, 3, 4], "another")
    comparison = compare(tmp_path, selection="snd")
    assert len(comparison) == 0
    assert (
        comparison.missing[0]["reason"]
        == "snd: history.csv has no value of it; a run of an earlier transferscope has none"
    )


def test_a_damaged_history_is_named(tmp_path):
    (job,) = write_runs(tmp_path, "scratch", 0.5, seeds=1)
    folder = tmp_path / job["fingerprint"]
    (folder / "history.csv").write_text("step,validator/snd\n100,high\n")
    with pytest.raises(RequestError, match="history.csv: cannot be read: .*high"):
        scores.read_scores(folder, read_record(folder), "accuracy", "snd")


@pytest.mark.parametrize("name", ["reverse_validation", "snnd"])
def test_what_no_run_holds_cannot_be_asked_for(tmp_path, name):
    write_runs(tmp_path, "scratch", 0.5, seeds=1)
    with pytest.raises(RequestError, match=f"--selection {name}: not one of last, .*snd"):
        compare(tmp_path, selection=name)
