"""`run -m ... --until-decided` as a user meets it: what is run, what is decided and kept, resuming, wrong
requests."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from forked import forked
from transferscope.cli.main import main
from transferscope.store import record

SMALL = ["-m", "target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[16]",
    "label_budget=20", "trainer.steps=40",
         "trainer.source_steps=2", "trainer.evaluations=2", "trainer.optimizer.lr=0.02", "tracking=off",
         "--until-decided"]  # fmt: skip
GRID = ["strategy=scratch,source_only,fine_tuning", "strategy.backbone_rate=1", "until_decided.looks=[4,5,6]",
    "until_decided.margin=0.063",
        "sweep=mine"]  # fmt: skip


def run(*arguments: str, store: Path) -> int:
    return main(["run", *SMALL, f"store={store}", *arguments])


def plan_of(store: Path) -> dict:
    [plan] = record.read_plans(store)
    return plan


def looks_of(store: Path) -> dict[str, list[dict]]:
    return {cell["cell"]["strategy"]: cell["looks"] for cell in plan_of(store)["sequential"]["cells"]}


def change(store: Path, edit) -> None:
    """Edit the plan in its place."""
    plan = plan_of(store)
    edit(plan)
    record.write_plan(store, plan)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that went its way undisturbed. Tests that write take a copy."""
    store = tmp_path_factory.mktemp("finished") / "runs"
    assert run(*GRID, store=store) == 0
    return store


# --- what is run and decided


def test_a_large_effect_stops_early_and_a_null_goes_on(finished: Path) -> None:
    looks = looks_of(finished)
    [decided] = looks["source_only"]
    assert (decided["state"], decided["verdict"], decided["look"], decided["seeds"]) == (
        "decided",
        "negative",
        1,
        4,
    )
    assert decided["ci_simultaneous"][1] <= 0 and decided["p_adjusted"] <= 0.05
    assert [found["seeds"] for found in looks["fine_tuning"]] == [4, 5, 6]
    assert [found["state"] for found in looks["fine_tuning"]][:2] == ["open", "open"]
    assert looks["fine_tuning"][2]["verdict"] in ("equivalent", "undecided")
    # the baseline goes along with whoever needs it
    seeds = {"source_only": 4, "fine_tuning": 6, "scratch": 6}
    ran = [
        (entry["cell"]["strategy"], entry["seed"])
        for entry in map(record.read_record, record.run_folders(finished))
    ]
    assert sorted(ran) == sorted(
        (strategy, seed) for strategy, number in seeds.items() for seed in range(number)
    )


def test_compare_holds_what_was_decided_and_calls_the_rest_interim(copied: Path) -> None:
    from transferscope import compare

    cells = {cell.strategy: cell for cell in compare(copied, margin=0.063)}
    [decided] = looks_of(copied)["source_only"]
    assert (cells["source_only"].verdict, cells["source_only"].seeds, cells["source_only"].delta) == (
        "negative",
        4,
        decided["delta"],
    )
    assert "decided at look 1 of 3, 4 seeds" in cells["source_only"].flags
    assert all(
        "interim: its sweep looks at baseline scratch" in " ".join(cell.flags) for cell in compare(copied)
    )  # another margin than planned

    def reopen(plan: dict) -> None:
        plan["sequential"]["cells"][-1]["looks"] = plan["sequential"]["cells"][-1]["looks"][:1]

    change(copied, reopen)
    cells = {cell.strategy: cell for cell in compare(copied, margin=0.063)}
    assert (cells["fine_tuning"].verdict, cells["fine_tuning"].reason) == (
        "undecided",
        "interim: look 2 of 3 is to come",
    )
    assert "because their looks are not all taken" in " ".join(
        compare(copied, margin=0.063).to_table(140).split()
    )


def test_a_null_without_prospect_is_stopped(copied: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(*GRID, "sweep=strict", "until_decided.margin=0.01", store=copied) == 0
    strict = next(plan for plan in record.read_plans(copied) if plan["name"] == "strict")["sequential"]
    [stopped] = next(cell["looks"] for cell in strict["cells"] if cell["cell"]["strategy"] == "fine_tuning")
    assert (stopped["state"], stopped["verdict"], stopped["limit"]) == (
        "stopped",
        "undecided",
        "seeds alone cannot help",
    )
    assert strict["taken"] == 1
    out = capsys.readouterr().out
    assert (
        "undecided, stopped at look 1 with 4 seeds (seeds alone cannot help; needs test items and seeds"
        in out
    )
    assert "12 runs instead of 18 runs, baselines counted: 33% saved" in out


def test_a_strategy_that_still_rises_is_not_decided_against(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transferscope.comparison.plateau import Rise, Rises
    from transferscope.statistics.sequential import SEEDS_CANNOT_HELP
    from transferscope.sweeps import until_decided

    still, finished = Rise(4, 4, mean=0.1, projected=1.0, is_rising=True), Rise(4, 4, mean=0.0, projected=0.0)
    monkeypatch.setattr(until_decided.trained, "rises", lambda evidence, reader: Rises(still, finished))
    assert (
        run(
            "strategy=scratch,source_only",
            "until_decided.looks=[4,5]",
            "until_decided.margin=0.039",
            "sweep=rising",
            store=copied,
        )
        == 0
    )
    rising = next(plan for plan in record.read_plans(copied) if plan["name"] == "rising")["sequential"]
    [[found]] = [cell["looks"] for cell in rising["cells"]]
    assert (found["state"], found["limit"]) == ("stopped", SEEDS_CANNOT_HELP)
    assert found["reason"] == "the strategy was still improving: train it longer"


def test_the_plan_names_what_compare_needs(finished: Path) -> None:
    plan = plan_of(finished)
    sequential = plan["sequential"]
    settings = ("baseline", "metric", "selection", "margin", "alpha", "looks", "taken")
    assert [sequential[key] for key in settings] == ["scratch", "accuracy", "last", 0.063, 0.05, [4, 5, 6], 3]
    jobs = {job["fingerprint"]: job for job in plan["jobs"]}
    for cell in sequential["cells"]:
        reached = cell["looks"][-1]["seeds"]
        assert len(cell["runs"]) == len(cell["baseline_runs"]) == 6
        assert [jobs[name]["seed"] for name in cell["runs"][:reached]] == list(range(reached))
        ran = [jobs[name]["cell"] for name in cell["runs"][:reached]]
        # source_only has none: it is compared at the baseline's
        assert all({**job, "label_budget": 20} == cell["cell"] for job in ran)
        assert all(jobs[name]["cell"]["strategy"] == "scratch" for name in cell["baseline_runs"][:reached])
    # never asked for, so never missing
    assert len(jobs) == 16 and not set(sequential["cells"][0]["runs"][4:]) & jobs.keys()


def test_what_was_read_before_the_looks_were_planned_is_paid_for_at_each(
    finished: Path, copied: Path, capsys: pytest.CaptureFixture
) -> None:
    from transferscope import compare

    for name in ("sweeps", "readings"):
        shutil.rmtree(copied / name)
    for folder in record.run_folders(copied):  # with four seeds
        if record.read_record(folder)["seed"] > 3:
            shutil.rmtree(folder)
    assert {cell.readings for cell in compare(copied)} == {0}
    for folder in record.run_folders(finished):
        shutil.copytree(folder, copied / folder.name, dirs_exist_ok=True)
    assert run(*GRID, store=copied) == 0
    assert "2 cells were read before their looks were planned" in capsys.readouterr().err
    assert {cell["readings"] for cell in plan_of(copied)["sequential"]["cells"]} == {1}
    first, unread = (looks_of(store)["fine_tuning"][0] for store in (copied, finished))
    assert first["delta"] == unread["delta"]
    widths = [np.diff(look["ci_simultaneous"]).item() for look in (first, unread)]
    assert widths[0] > 1.2 * widths[1]
    # judged by its looks, which have paid
    assert {cell.readings for cell in compare(copied, margin=0.063)} == {0}
    by_other_rules = {cell.strategy: cell.readings for cell in compare(copied)}
    # the first had been read
    assert by_other_rules["fine_tuning"] == sum(look["seeds"] < 6 for look in looks_of(copied)["fine_tuning"])


def test_a_repeat_tells_the_result_and_decides_nothing_again(
    copied: Path, capsys: pytest.CaptureFixture
) -> None:
    def tamper(plan: dict) -> None:
        [decided] = next(
            cell["looks"] for cell in plan["sequential"]["cells"] if cell["cell"]["strategy"] == "source_only"
        )
        decided["delta"] = -0.123

    change(copied, tamper)
    before = plan_of(copied)
    assert run(*GRID, store=copied) == 0
    assert plan_of(copied) == before
    expected = capsys.readouterr().out.splitlines()
    assert (
        "source_only" in expected[0] and "negative, decided at look 1 with 4 seeds; Δ -0.123" in expected[0]
    )
    assert "fine_tuning" in expected[1] and "6 seeds" in expected[1]
    assert expected[2] == "16 runs and 2 source trainings instead of 18 runs, baselines counted: 0% saved"


def test_the_plan_is_on_disk_before_the_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transferscope.sweeps.until_decided import Sweeper

    seen = []

    def train(self, store: Path, *_: object) -> tuple:
        seen.append(plan_of(store))
        raise KeyboardInterrupt

    monkeypatch.setattr(Sweeper, "train", train)
    assert run(*GRID, store=tmp_path) == 130
    [plan] = seen
    assert (
        plan["sequential"]["taken"] == 0
        and plan["sequential"]["looks"] == [4, 5, 6]
        and len(plan["sequential"]["cells"]) == 2
    )
    assert len(plan["jobs"]) == 12 and record.run_folders(tmp_path) == []


def test_a_later_ordinary_sweep_leaves_the_looks_alone(copied: Path) -> None:
    before = plan_of(copied)["sequential"]
    ordinary = [word for word in SMALL if word != "--until-decided"]
    assert main(["run", *ordinary, f"store={copied}", "sweep=mine", "strategy=scratch", "seed=0,1"]) == 0
    assert plan_of(copied)["sequential"] == before


def test_seeds_that_came_later_leave_the_intervals_of_the_look(copied: Path) -> None:
    from transferscope.comparison.compare import compare

    rules = {"margin": 0.063, "protocol": "both"}
    before = next(cell for cell in compare(copied, **rules) if cell.strategy == "source_only")
    assert before.seeds == 4
    words = [
        word
        for word in (*SMALL, *GRID)
        if word != "--until-decided" and not word.startswith("until_decided.")
    ]
    assert main(["run", *words, f"store={copied}", "sweep=more", "seed=range(0,6)"]) == 0
    after = next(cell for cell in compare(copied, **rules) if cell.strategy == "source_only")
    assert len(after.evidence.seeds) == 6
    for key in ("delta", "ci", "ci_simultaneous", "seed_half", "item_half", "mde", "seeds"):
        assert getattr(after, key) == getattr(before, key), key
    low, high = before.ci
    assert low < before.delta < high and high - low < before.ci_simultaneous[1] - before.ci_simultaneous[0]


def test_seeds_may_be_named(finished: Path, copied: Path) -> None:
    assert run(*GRID, "seed=range(0,6)", store=copied) == 0  # the same sweep, whose looks are taken
    assert plan_of(copied) == plan_of(finished)


def test_a_dry_run_tells_the_looks_and_the_most_they_cost(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    more = ["strategy=scratch,fine_tuning", "strategy.backbone_rate=1", "sweep=other"]
    assert run(*more, "--dry-run", store=tmp_path / "none") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep other: 1 cells against scratch, accuracy, margin 0.01, alpha 0.05"
    assert lines[1] == "look 1, 5 seeds: at most 10 runs and 5 source trainings; 0 runs done"
    assert lines[3] == "look 3, 10 seeds: at most 20 runs and 10 source trainings; 0 runs done"
    assert not (tmp_path / "none").exists()
    assert run(*more, "--dry-run", store=finished) == 0
    assert "look 1, 5 seeds: at most 10 runs and 5 source trainings; 10 runs done" in capsys.readouterr().out


def test_arms_that_are_neither_compared_nor_a_baseline_are_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    against = ["strategy=scratch,source_only,fine_tuning", "until_decided.baseline=source_only"]
    assert run(*against, "--dry-run", store=tmp_path) == 0
    out = capsys.readouterr().out
    assert "1 cells against source_only" in out and "not run, neither compared nor a baseline: scratch" in out


# --- interruption and failure


def test_killed_between_looks_it_goes_on_to_the_same_decisions(finished: Path, tmp_path: Path) -> None:
    store = tmp_path / "runs"
    process = forked("run", *SMALL, f"store={store}", *GRID)
    deadline = time.monotonic() + 120
    while not record.plan_path(store, "mine").exists() or plan_of(store)["sequential"]["taken"] < 1:
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.1)  # each time the plan is read and checked
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    assert plan_of(store)["sequential"]["taken"] == 1
    assert looks_of(store) == {strategy: looks[:1] for strategy, looks in looks_of(finished).items()}
    assert run(*GRID, store=store) == 0
    assert plan_of(store)["sequential"] == plan_of(finished)["sequential"]


def test_a_look_waits_for_a_failed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "own_fragile.py").write_text(
        "import os\n"
        "from transferscope.strategies.target_only import TargetOnly\n"
        "class Fragile(TargetOnly):\n"
        "    def losses(self, batch):\n"
        "        if os.environ.get('BROKEN'):\n"
        "            raise ArithmeticError('planted')\n"
        "        return super().losses(batch)\n"
    )
    choices = tmp_path / "conf" / "strategy"
    choices.mkdir(parents=True)
    (choices / "fragile.yaml").write_text(
        "_target_: own_fragile.Fragile\nname: fragile\nstarts_from: random\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BROKEN", "1")
    grid = [
        "strategy=scratch,fragile",
        "until_decided.looks=[2,3]",
        "trainer.steps=2",
        f"--config-dir={tmp_path / 'conf'}",
    ]
    store = tmp_path / "runs"
    assert run(*grid, store=store) == 1
    assert "look 1 waits" in capsys.readouterr().err
    assert plan_of(store)["sequential"]["taken"] == 0 and looks_of(store) == {"fragile": []}
    monkeypatch.delenv("BROKEN")
    assert run(*grid, store=store) == 0
    assert looks_of(store)["fragile"][0]["seeds"] == 2


@pytest.mark.slow
def test_any_launcher_comes_to_the_same_decisions(finished: Path, tmp_path: Path) -> None:
    assert run(*GRID, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", store=tmp_path) == 0
    assert plan_of(tmp_path)["sequential"] == plan_of(finished)["sequential"]


# --- wrong requests


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["until_decided.looks=[5,5]"], ["until_decided.looks=[5, 5]", "larger than the one before"]),
        (["until_decided.looks=[7,5]"], ["until_decided.looks=[7, 5]", "larger than the one before"]),
        (["until_decided.looks=[1,5]"], ["until_decided.looks=[1, 5]", "at least 2"]),
        (["until_decided.looks=[]"], ["until_decided.looks=[]", "[5,7,10]"]),
        (["until_decided.looks=5"], ["until_decided.looks=5", "[5,7,10]"]),
        (["until_decided.looks=5,7"], ["until_decided.looks", "[5,7,10]"]),
        (["until_decided.look=[5]"], ["until_decided.look", "did you mean 'looks'"]),
        (["until_decided.baseline=scrach"], ["until_decided.baseline=scrach", "did you mean 'scratch'"]),
        (["until_decided.baseline=naive"], ["until_decided.baseline=naive: it has no runs", "`compare`"]),
        (
            ["until_decided.baseline=source_only"],
            ["until_decided.baseline=source_only", "the grid holds none", "fine_tuning"],
        ),
        (["until_decided.metric=acuracy"], ["until_decided.metric=acuracy", "did you mean 'accuracy'"]),
        (["until_decided.margin=much"], ["until_decided.margin=much", "0.01"]),
        (["until_decided.alpha=0"], ["until_decided.alpha=0", "between 0 and 1"]),
        (["seed=range(0,5)"], ["seed: 5 seeds", "[5, 7, 10]", "give the 10"]),
        (["seed=0"], ["seed: 1 seeds", "leave seed out"]),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run("strategy=scratch,fine_tuning", *arguments, store=tmp_path / "runs") == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert all(part in err for part in parts), err
    assert not (tmp_path / "runs").exists()


def test_a_single_run_is_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert (
        main(
            [
                "run",
                *[word for word in SMALL if word != "-m"],
                "strategy=scratch",
                f"store={tmp_path / 'runs'}",
            ]
        )
        == 2
    )
    assert "--until-decided" in capsys.readouterr().err
    assert main(["run", "-m", "target=blobs", "until_decided.alpha=0.1"]) == 2
    assert "add the flag" in capsys.readouterr().err


def test_what_was_planned_is_kept_to(copied: Path, capsys: pytest.CaptureFixture) -> None:
    before = plan_of(copied)
    for arguments, expected in (
        (["until_decided.alpha=0.1"], "sweep=mine: planned with alpha 0.05"),
        (["until_decided.looks=[4,5,7]"], "sweep=mine: planned with looks [4, 5, 6]"),
        (["trainer.steps=41"], "sweep=mine: planned with other cells"),
    ):
        assert run(*GRID, *arguments, store=copied) == 2
        assert expected in capsys.readouterr().err
    change(copied, lambda plan: plan.pop("sequential"))
    assert run(*GRID, store=copied) == 2
    assert "planned before without looks" in capsys.readouterr().err
    assert plan_of(copied)["jobs"] == before["jobs"]
