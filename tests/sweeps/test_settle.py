"""`run -m ... --settle` as a user meets it: what is trained for longer, what compare makes of it, resuming,
wrong requests."""

import json
from pathlib import Path

import pytest

from store_fixture import write_run
from transferscope import compare
from transferscope.cli.main import main
from transferscope.store import record

SMALL = ["-m", "target=blobs", "source=blobs_shifted", "strategy=scratch,fine_tuning", "seed=range(0,5)",
    "label_budget=20", "backbone=mlp",
         "backbone.hidden=[16]", "trainer.steps=40", "trainer.source_steps=80", "trainer.evaluations=3",
         "trainer.schedule=constant", "trainer.optimizer.lr=0.002", "tracking=off", "hydra.launcher.n_jobs=1",
         "sweep=mine"]  # fmt: skip
# of planted runs: how fast each approaches the same asymptote in 40 steps
RATES = {"scratch": 1.1, "fine_tuning": 8.0}


def run(*arguments: str, store: Path, settle: bool = True) -> int:
    return main(["run", *SMALL, f"store={store}", *(["--settle"] if settle else []), *arguments])


def plant(
    store: Path, name: str, jobs: list, refused: list, verdicts: bool | None = False
) -> tuple[list, bool]:
    """In place of `Sweeper.train`: records of learning curves as they might have been."""
    for request in (job.request for job in jobs if not (store / job.request.fingerprint).exists()):
        steps, rate = request.config["trainer"]["steps"], RATES[request.cell["strategy"]]
        shape = {
            "steps": tuple(steps * part // 10 for part in range(11)),
            "rate": rate * steps / 40,
            "target": "blobs",
            "n": 600,
            "classes": 3,
        }
        made = (
            store
            / write_run(store, request.cell["strategy"], request.config["seed"], 2.0, **shape)["fingerprint"]
        )
        entry = json.loads((made / "record.json").read_text())
        entry |= {"fingerprint": request.fingerprint, "cell": request.cell, "consumed": request.consumed}
        (made / "record.json").write_text(json.dumps(entry))
        made.rename(store / request.fingerprint)
    return [], False


def plan_of(store: Path) -> dict:
    [plan] = record.read_plans(store)
    return plan


def steps_of(store: Path) -> dict[tuple[str, int], int]:
    """How many runs there are of a strategy and a length."""
    records = [record.read_record(folder) for folder in record.run_folders(store)]
    found = [(entry["cell"]["strategy"], entry["consumed"]["trainer"]["steps"]) for entry in records]
    return {key: found.count(key) for key in found}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with planted curves that was settled undisturbed. Tests that write take a copy."""
    store = tmp_path_factory.mktemp("finished") / "runs"
    assert run("--dry-run", store=store) == 0  # Hydra finds its plugins before the sweeper is imported

    from transferscope.sweeps.sweep import Sweeper

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sweeper, "train", lambda self, *given: plant(*given))
        assert run(store=store, settle=False) == 0
        [cell] = compare(store)
        assert (cell.verdict, cell.barred) == ("undecided", True) and cell.ci[0] > 0
        assert run(store=store) == 0  # the finished sweep again, with the flag
    return store


def test_both_arms_of_a_barred_cell_are_trained_for_longer(finished: Path) -> None:
    assert steps_of(finished) == {
        (strategy, steps): 5 for strategy in ("scratch", "fine_tuning") for steps in (40, 80, 160)
    }
    [cell] = compare(finished)
    assert (cell.times_steps, cell.family_size, cell.barred) == (4, 1, False)
    assert not cell.strategy_rise["is_rising"] and not cell.baseline_rise["is_rising"]
    sources = {
        record.read_record(folder)["consumed"]["trainer"].get("source_steps")
        for folder in cell.evidence.strategy_runs
    }
    assert sources == {320}


def test_the_plan_says_which_run_lengthens_which(finished: Path) -> None:
    plan = plan_of(finished)
    assert plan["settle"] == {
        "lengths": [2, 4],
        "baseline": "scratch",
        "metric": "accuracy",
        "margin": 0.01,
        "alpha": 0.05,
    }
    jobs = {job["fingerprint"]: job for job in plan["jobs"]}
    longer = [job for job in plan["jobs"] if "lengthens" in job]
    assert len(jobs) == 30 and len(longer) == 20
    for job in longer:
        base, times = jobs[job["lengthens"]["run"]], job["lengthens"]["times"]
        assert (base["cell"], base["seed"]) == (job["cell"], job["seed"]) and "lengthens" not in base
        assert record.read_record(finished / job["fingerprint"])["consumed"]["trainer"]["steps"] == times * 40


def test_a_repeat_trains_nothing_and_tells_the_result(
    finished: Path, copied: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(store=copied) == 0
    lengthened = [
        {job["fingerprint"]: job.get("lengthens") for job in plan_of(store)["jobs"]}
        for store in (copied, finished)
    ]
    assert lengthened[0] == lengthened[1] and steps_of(copied) == steps_of(finished)
    expected, where = capsys.readouterr().out.splitlines()
    assert expected.startswith(
        "fine_tuning  blobs_shifted → blobs  20 labels: undecided at 4 times the steps ("
    )
    assert where == (
        f"verdicts: transferscope compare {copied / 'sweeps' / 'mine'} --baseline scratch --metric "
        "accuracy --margin 0.01 --alpha 0.05"
    )


def test_killed_on_the_way_it_compares_what_is_whole_and_goes_on(
    finished: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transferscope.sweeps.settle import Sweeper

    lost = next(
        job["fingerprint"] for job in plan_of(copied)["jobs"] if job.get("lengthens", {}).get("times") == 4
    )
    record.remove(copied / lost)
    comparison = compare(copied)
    assert [cell.times_steps for cell in comparison] == [2] and [
        row["fingerprint"] for row in comparison.missing
    ] == [lost]
    seen = []

    def train(
        self, store: Path, name: str, jobs: list, refused: list, verdicts: bool | None = False
    ) -> tuple:
        seen.append((len(jobs), plan_of(store)))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return [], False

    with monkeypatch.context() as patch:
        patch.setattr(Sweeper, "train", train)
        assert run(store=copied) == 130
    assert [number for number, _ in seen] == [10, 10]
    assert any(job["fingerprint"] == lost for job in seen[1][1]["jobs"])  # planned before it is run
    monkeypatch.setattr(Sweeper, "train", lambda self, *given: plant(*given))
    assert run(store=copied) == 0
    assert steps_of(copied) == steps_of(finished) and [cell.times_steps for cell in compare(copied)] == [4]


def test_a_dry_run_tells_what_it_would_cost(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run("--dry-run", store=tmp_path / "none") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == (
        "settle against scratch, accuracy, margin 0.01, alpha 0.05: which cells are barred is known "
        "after the sweep"
    )
    assert (
        lines[-1] == "4 times the steps: at most 10 runs and 5 source trainings; 0 runs done"
        and not (tmp_path / "none").exists()
    )
    assert run("--dry-run", store=finished) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].endswith(": 0 cells are barred by training that had not finished")
    assert lines[-2] == "2 times the steps: at most 0 runs; 0 runs done"


def test_where_nothing_is_barred_nothing_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("seed=0,1", "trainer.steps=2", "trainer.source_steps=2", store=tmp_path) == 0
    assert set(steps_of(tmp_path)) == {("scratch", 2), ("fine_tuning", 2)}
    assert capsys.readouterr().out.splitlines()[0] == "no cell is barred by training that had not finished"


@pytest.mark.slow
def test_in_real_training_a_lead_of_ten_points_is_gone_at_four_times_the_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(store=tmp_path, settle=False) == 0
    [early] = compare(tmp_path)
    assert early.barred and early.ci[0] > 0 and early.delta > 0.08
    assert run(store=tmp_path) == 0
    [late] = compare(tmp_path)
    assert late.times_steps == 4 and abs(late.delta) < 0.03 and late.baseline_rise["remaining"] < 0.02
    assert (
        f"fine_tuning  blobs_shifted → blobs  20 labels: {late.verdict} at 4 times the steps"
        in capsys.readouterr().out
    )


# --- wrong requests


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["settle.lengths=[4,2]"], ["settle.lengths=[4, 2]", "larger than the one before"]),
        (["settle.lengths=[1,2]"], ["settle.lengths=[1, 2]", "at least 2"]),
        (["settle.lengths=2,4"], ["settle.lengths: one value", "[2,4]"]),
        (["settle.length=[2]"], ["settle.length", "did you mean 'lengths'"]),
        (
            ["settle.baseline=source_only"],
            ["settle.baseline=source_only", "the grid holds none", "fine_tuning"],
        ),
        (["settle.margin=much"], ["settle.margin=much", "0.01"]),
        (
            ["trainer.steps=40,80"],
            ["trainer.steps=80: 2 times that of another run of the grid", "give one length"],
        ),
        (["--search"], ["--search: finds values, --settle trains longer; give one of them"]),
        (["--until-decided"], ["--until-decided: brings seeds, --settle trains longer; give one of them"]),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run("trainer.source_steps=2", *arguments, store=tmp_path / "runs") == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert all(part in err for part in parts), err
    assert not (tmp_path / "runs").exists()


def test_a_single_run_is_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert (
        main(["run", "target=blobs", "strategy=scratch", "backbone=mlp", f"store={tmp_path}", "--settle"])
        == 2
    )
    assert (
        capsys.readouterr().err
        == "transferscope: --settle: a sweep is needed, of a strategy and its baseline at least; add -m\n"
    )
    assert main(["run", "-m", "target=blobs", "settle.alpha=0.1"]) == 2
    assert (
        "settle.alpha=0.1: only --settle reads it; add the flag or leave the key out"
        in capsys.readouterr().err
    )


def test_what_was_settled_is_kept_to(copied: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("settle.margin=0.02", store=copied) == 2
    assert "sweep=mine: settled with margin 0.01; give the same, or another name" in capsys.readouterr().err
    plan = plan_of(copied)
    planned = {
        **dict.fromkeys(("baseline", "metric", "selection", "margin", "alpha"), "x"),
        "looks": [2],
        "taken": 0,
        "cells": [],
    }
    record.write_plan(copied, {**plan, "name": "looked", "sequential": planned})
    assert run(store=copied) == 2
    assert (
        "--settle: sweep looked looked at runs of this grid until they were decided, which is final"
        in capsys.readouterr().err
    )


def test_seeds_of_an_earlier_command_need_the_whole_grid(
    tmp_path: Path, copied: Path, capsys: pytest.CaptureFixture
) -> None:
    for job in plan_of(copied)["jobs"]:
        if "lengthens" in job:
            record.remove(copied / job["fingerprint"])
    assert run("seed=range(0,4)", store=copied) == 2
    assert "is not of this grid; give the whole grid of sweep mine" in capsys.readouterr().err
