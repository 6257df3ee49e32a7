"""`transferscope run` as a user meets it: exit status, store, sweeps, interruption."""

import json
import os
import resource
import signal
import sys
import time
from functools import partial
from multiprocessing import Process
from pathlib import Path

import numpy as np
import pytest
import torch

from forked import exit_code, forked
from transferscope import compare
from transferscope.cli.main import main
from transferscope.store import lease, record
from transferscope.sweeps import launcher

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=5", "trainer.steps=20",
    "trainer.source_steps=20",
         "trainer.evaluations=2", "tracking=off"]  # fmt: skip
COMMAND = [sys.executable, "-m", "transferscope.cli", "run"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def own_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a strategy that breaks and one that leaves a mark each time it is trained."""
    (tmp_path / "own_strategies.py").write_text(
        "import os\n"
        "from transferscope.strategies.target_only import TargetOnly\n"
        "class Breaking(TargetOnly):\n"
        "    def losses(self, batch):\n"
        "        raise ArithmeticError('planted\\nsecond line')\n"
        "class Counting(TargetOnly):\n"
        "    def fit_features(self, pools):\n"
        "        with open(os.environ['MARKS'], 'a') as file:\n"
        "            file.write('x')\n"
    )
    choices = tmp_path / "conf" / "strategy"
    choices.mkdir(parents=True)
    for name in ("breaking", "counting"):
        (choices / f"{name}.yaml").write_text(
            f"_target_: own_strategies.{name.title()}\nname: {name}\nstarts_from: random\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    return tmp_path / "conf"


def run(*arguments: str, store: Path) -> int:
    return main(["run", *SMALL, f"store={store}", *arguments])


def test_what_was_run_tells_what_a_constant_answer_would_score(store: Path) -> None:
    """With all labels, and with none: the record holds the class shares, the target's and the source's."""
    run("strategy=scratch", "label_budget=full", store=store)
    run("strategy=source_only", "label_budget=0", store=store)
    cells = compare(store, baseline="naive", metric="brier").cells
    assert {(cell.strategy, cell.label_budget) for cell in cells} == {
        ("scratch", "full"),
        ("source_only", None),
    }
    # three classes of 50 items each
    assert [cell.baseline_score for cell in cells] == pytest.approx([-2 / 3] * 2)


@pytest.mark.parametrize("threads", [2, 1])
def test_a_run_computes_with_the_threads_it_was_given(store: Path, threads: int) -> None:
    """numpy's BLAS too: in a sweep's processes, each with a core, it would start a thread a core."""
    from threadpoolctl import threadpool_info

    assert run(f"trainer.threads={threads}", store=store) == 0
    pools = {
        (pool["user_api"], pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"
    }
    assert pools == {("blas", threads)} and torch.get_num_threads() == threads


def results(store: Path) -> dict[str, tuple]:
    """What must be identical where runs are called identical."""
    found = {}
    for folder in record.run_folders(store):
        entry = record.read_record(folder)
        rows = [
            {k: v for k, v in row.items() if not k.endswith("seconds")} for row in record.read_history(folder)
        ]
        found[folder.name] = ((folder / "evaluations.npz").read_bytes(), rows, entry["result"])
    return found


def litter(store: Path) -> list[str]:
    return [path.name for path in (store / ".running").iterdir()] + [
        path.name for path in store.glob("**/*draft*")
    ]


# --- one run


def test_a_run_leaves_a_whole_record_and_is_not_run_again(store: Path, capsys: pytest.CaptureFixture) -> None:
    assert run("strategy=scratch", store=store) == 0
    assert "done: scratch  blobs  5 labels  seed 0, test accuracy" in capsys.readouterr().out
    [folder] = record.run_folders(store)
    entry = record.read_record(folder)
    assert entry["status"] == "done" and entry["cell"]["source"] is None and entry["seed"] == 0
    with np.load(folder / "evaluations.npz") as members:
        p = members["blobs/test/outputs/000020"]
        assert {"blobs/test/outputs/000000", "blobs/test/outputs/000010", "blobs/val/ids"} <= set(
            members.files
        )
        accuracy = (p.argmax(1) == members["blobs/test/targets"]).mean()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    assert entry["result"]["metrics"]["blobs/test/accuracy"] == pytest.approx(accuracy)
    assert record.read_history(folder)[-1]["blobs/test/accuracy"] == pytest.approx(accuracy)
    assert litter(store) == []
    before = (folder / "record.json").stat().st_mtime_ns
    assert run("strategy=scratch", "source=null", store=store) == 0  # scratch sees no source: the same run
    assert record.run_folders(store) == [folder] and (folder / "record.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change",
    [
        ["seed=1"],
        ["label_budget=3"],
        ["trainer.optimizer.lr=0.1"],
        ["split_seed=1"],
        ["fold=0"],
        ["backbone.hidden=[8]"],
        ["role=trial"],
    ],
)
def test_what_a_run_consumes_makes_another_run(change: list[str], store: Path) -> None:
    from hydra import compose, initialize_config_dir

    from transferscope.catalog import yamls
    from transferscope.training.request import resolve

    with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
        prints = [
            resolve(compose("config", [*SMALL, "strategy=fine_tuning", *more])).fingerprint
            for more in (
                [],
                change,
                ["store=elsewhere"],
                ["tracking=online"],
                ["keep=selected", "selection=target_val"],
            )
        ]
    assert prints[0] != prints[1]
    assert len({prints[0], *prints[2:]}) == 1  # where it goes and who watches is not consumed


def test_a_loss_that_is_not_finite_is_an_answer(store: Path) -> None:
    assert run("-m", "strategy=scratch", "trainer.optimizer.lr=1e30,0.01", store=store) == 0
    by_rate = {
        entry["config"]["trainer"]["optimizer"]["lr"]: entry
        for entry in map(record.read_record, record.run_folders(store))
    }
    assert by_rate[0.01]["status"] == "done"
    assert by_rate[1e30]["status"] == "diverged" and "loss/target is not finite" in by_rate[1e30]["reason"]
    assert by_rate[1e30]["result"]["metrics"]["blobs/test/accuracy"] >= 0  # of the last finite evaluation


def test_the_kept_model_is_made_where_a_finished_run_has_none(store: Path) -> None:
    assert run("strategy=scratch", store=store) == 0
    before = results(store)
    assert run("strategy=scratch", "keep=selected", store=store) == 0
    [folder] = record.run_folders(store)
    assert (folder / "model.safetensors").exists()
    assert results(store)[folder.name][0] == before[folder.name][0]


# --- wrong requests


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["target=blob"], ["target=blob", "did you mean 'blobs'"]),
        (["source=blobs_shift"], ["source=blobs_shift", "did you mean 'blobs_shifted'"]),
        (["strategy=scrach"], ["strategy=scrach", "did you mean 'scratch'", "fine_tuning"]),
        (["backbone=mpl"], ["backbone=mpl", "did you mean 'mlp'"]),
        (["experiment=dmo"], ["experiment=dmo", "did you mean 'demo'"]),
        (["sead=1"], ["sead", "did you mean 'seed'"]),
        (["trainer.stepps=1"], ["trainer.stepps", "did you mean 'steps'"]),
        (["+trainer.optimizer.lrr=1"], ["trainer.optimizer.lrr=1", "did you mean 'lr'"]),
        (["+strategy.weight=1", "strategy=joint"], ["strategy.weight=1", "did you mean 'source_weight'"]),
        (["seed=x"], ["seed=x", "integer"]),
        (["seed=-1"], ["seed=-1", "at least 0"]),
        (["trainer.steps=0"], ["trainer.steps=0", "at least 1"]),
        (["trainer.steps=2.5"], ["trainer.steps=2.5", "integer"]),
        (["trainer.schedule=cosin"], ["trainer.schedule=cosin", "did you mean 'cosine'"]),
        (["label_budget=half"], ["label_budget=half", "'full'"]),
        (["label_budget=5000"], ["label_budget=5000", "class", "at most"]),
        (["source_label_noise=2"], ["source_label_noise=2", "between 0 and 1"]),
        (["strategy=dann", "strategy.trade_off=high"], ["strategy.trade_off=high", "float"]),
        (["protocol=transduktive"], ["protocol=transduktive", "did you mean 'transductive'"]),
        (["source=blobs"], ["source=blobs", "its own source"]),
        (["source=[blobs_shifted,blobs_shifted]"], ["twice"]),
        (["strategy=dann", "source=null"], ["source=null", "give source=DOMAIN"]),
        (["strategy=fine_tuning", "source=null"], ["nothing to transfer"]),
        (["strategy=scratch", "label_budget=0"], ["label_budget=0", "at least 1"]),
        (["strategy=scratch", "initialisation=pretrained"], ["initialisation=pretrained", "target_only"]),
        (["strategy=scratch,dann"], ["strategy=scratch,dann", "-m"]),
        (["seed=["], ["seed=["]),
        (
            ["target=usps", "source=null", "data_root=/nowhere", "strategy=scratch"],
            ["data_root=/nowhere", "usps", "download=true"],
        ),
        (["-m", "seed=0,x"], ["seed=x", "integer"]),
        (["-m", "strategy=dann,scrach"], ["strategy=scrach", "did you mean 'scratch'"]),
        (["target=blobs", "source=printed_digits", "strategy=dann"], ["printed_digits"]),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    arguments: list[str], parts: list[str], store: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(*arguments, store=store) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert all(part in err for part in parts), err
    assert not store.exists() or record.run_folders(store) == []


def test_a_target_is_needed(capsys: pytest.CaptureFixture) -> None:
    assert main(["run"]) == 2
    assert "target=???" in capsys.readouterr().err


def test_a_store_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    assert run(store=tmp_path / "file" / "runs") == 2
    assert "store=" in capsys.readouterr().err


def test_another_schema_versions_record_is_not_written_over(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    run("strategy=scratch", store=store)
    [folder] = record.run_folders(store)
    old = json.dumps({**record.read_record(folder), "schema": 99})
    (folder / "record.json").write_text(old)
    assert run("strategy=scratch", store=store) == 2
    assert "schema version 99" in capsys.readouterr().err
    assert (folder / "record.json").read_text() == old


# --- sweeps


def test_a_sweep_runs_what_is_distinct_once_and_lists_what_does_not_apply(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    short = ["trainer.steps=2", "trainer.source_steps=2", "hydra.launcher.n_jobs=1"]
    grid = ["-m", "strategy=scratch,fine_tuning,dann", "source=blobs_shifted,null", "seed=0,1", *short,
            "sweep=mine"]  # fmt: skip
    assert run(*grid, "--dry-run", store=store) == 0
    assert "6 runs: 0 done, 6 to run" in capsys.readouterr().out and record.run_folders(store) == []
    assert run(*grid, store=store) == 0
    assert len(record.run_folders(store)) == 6
    [plan] = record.read_plans(store)
    assert plan["name"] == "mine" and [job["status"] for job in plan["jobs"]].count("not_applicable") == 4
    assert "not applicable (2): source=null: strategy dann" in capsys.readouterr().err
    assert run(*grid, "--dry-run", store=store) == 0
    assert "6 runs: 6 done, 0 to run" in capsys.readouterr().out


def test_one_failing_run_leaves_the_others_and_is_tried_again(
    store: Path, own_shelf: Path, capsys: pytest.CaptureFixture
) -> None:
    grid = ["-m", "strategy=breaking,scratch", "trainer.steps=2", f"--config-dir={own_shelf}"]
    assert run(*grid, store=store) == 1
    states = {
        entry["cell"]["strategy"]: entry for entry in map(record.read_record, record.run_folders(store))
    }
    assert states["scratch"]["status"] == "done"
    assert (
        states["breaking"]["status"] == "failed"
        and states["breaking"]["reason"] == "ArithmeticError: planted"
    )
    assert "own_strategies.py" in states["breaking"]["traceback"]
    assert "failed: breaking  blobs  5 labels  seed 0: ArithmeticError: planted" in capsys.readouterr().err
    made = {folder: (folder / "record.json").stat().st_mtime_ns for folder in record.run_folders(store)}
    assert run(*grid, store=store) == 1
    assert "failed: breaking  blobs" in capsys.readouterr().err
    again = [folder for folder, then in made.items() if (folder / "record.json").stat().st_mtime_ns != then]
    assert [record.read_record(folder)["cell"]["strategy"] for folder in again] == ["breaking"]
    assert litter(store) == []


def test_a_grid_in_an_experiment_may_be_a_union(store: Path, tmp_path: Path) -> None:
    experiment = tmp_path / "conf" / "experiment"
    experiment.mkdir(parents=True)
    (experiment / "union.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1'}, grids: "
        "[{strategy: scratch, label_budget: '2,5'}, {strategy: fine_tuning, label_budget: 2}]}}\n"
    )
    small = [word for word in SMALL if not word.startswith(("label_budget", "trainer.s"))]
    small += ["trainer.steps=2", "trainer.source_steps=2"]
    assert (
        main(["run", "experiment=union", *small, f"store={store}", f"--config-dir={tmp_path / 'conf'}"]) == 0
    )
    cells = [
        (e["cell"]["strategy"], e["cell"]["label_budget"], e["seed"])
        for e in map(record.read_record, record.run_folders(store))
    ]
    assert sorted(cells) == [
        (s, b, k) for s, b in (("fine_tuning", 2), ("scratch", 2), ("scratch", 5)) for k in (0, 1)
    ]
    assert record.read_plans(store)[0]["name"] == "union"


@pytest.mark.slow
def test_joblib_finds_a_domain_of_ones_own_and_gives_the_same_records(store: Path, tmp_path: Path) -> None:
    """Its processes import torch again. By default the launcher that forks is held to this, in
    sweeps/test_launcher.py, and two processes find a strategy of one's own, below."""
    choices = tmp_path / "conf" / "domain"
    choices.mkdir(parents=True)
    own = Path(__file__).parents[1] / "conf" / "domain" / "blobs.yaml"
    (choices / "mine.yaml").write_text(own.read_text())
    grid = ["-m", "strategy=fine_tuning", "seed=0,1", "target=mine", f"--config-dir={tmp_path / 'conf'}"]
    for name, keys in {"basic": [], "joblib": ["hydra.launcher.n_jobs=2"]}.items():
        assert run(*grid, f"hydra/launcher={name}", *keys, store=store / name) == 0
    assert len(results(store / "basic")) == 2
    assert results(store / "joblib") == results(store / "basic")


# --- interruption

LONG = ["run", *SMALL, "strategy=dann", "backbone.hidden=[32]", "trainer.evaluations=5"]


def wait_for(what: str, store: Path, process: Process) -> None:
    deadline = time.monotonic() + 120
    while not list(store.glob(what)):
        assert process.is_alive() and time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.02)


def test_a_killed_run_resumes_and_ends_identical(store: Path, tmp_path: Path) -> None:
    def to_be_killed_at_step_40() -> None:
        claim = lease.Lease.claim

        def claimed(self: lease.Lease, step: int) -> None:
            claim(self, step)
            if step == 40:
                os.kill(os.getpid(), signal.SIGKILL)

        lease.Lease.claim = claimed

    words = [*LONG, "trainer.steps=100"]
    killed = forked(*words, f"store={store}", first=to_be_killed_at_step_40)
    assert exit_code(killed, 120) == -signal.SIGKILL
    assert record.run_folders(store) == []
    [name] = [path.name for path in (store / ".running").iterdir() if path.is_dir()]
    status, detail = lease.state(store, name)
    assert status == "crashed" and "at step 40 of 100" in detail
    assert (store / ".running" / name / "checkpoint.ckpt").is_file()
    assert main([*words, f"store={store}"]) == 0
    assert main([*words, f"store={tmp_path / 'undisturbed'}"]) == 0
    assert results(store) == results(tmp_path / "undisturbed")
    assert litter(store) == []


def test_ctrl_c_keeps_what_is_finished(store: Path) -> None:
    # only its process is told: its workers are given a moment, then killed
    soon = partial(setattr, launcher, "PATIENCE", 0.5)
    process = forked(*LONG, "-m", "trainer.steps=20,200000", f"store={store}", first=soon)
    wait_for(".running/*/claim.json", store, process)
    wait_for("[0-9a-f]*/record.json", store, process)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    assert exit_code(process, 120) == 130
    assert len(record.run_folders(store)) == 1


def test_two_processes_share_a_store(store: Path, own_shelf: Path) -> None:
    sweep = ["-m", "strategy=counting", "seed=range(0,4)", f"store={store}", f"--config-dir={own_shelf}"]
    both = [forked("run", *SMALL, *sweep) for _ in range(2)]
    assert [exit_code(process, 120) for process in both] == [0, 0]
    assert len(record.run_folders(store)) == 4
    assert Path(os.environ["MARKS"]).read_text() == "xxxx"  # each trained once
    assert litter(store) == []


def test_a_full_disk_leaves_no_half_record(store: Path) -> None:
    said, theirs = os.pipe()

    def with_small_files() -> None:
        os.dup2(theirs, 2)
        sys.stderr = os.fdopen(2, "w")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    process = forked("run", *SMALL, "strategy=scratch", f"store={store}", first=with_small_files)
    os.close(theirs)
    assert exit_code(process, 120) == 1
    with os.fdopen(said) as pipe:
        error = pipe.read()
    assert "File too large" in error and "Traceback" not in error
    assert record.run_folders(store) == []


# --- the command


def test_completion_goes_through_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def complete(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        main(["-sc", "query=bash"])
        return capsys.readouterr().out.split()

    assert complete("transferscope ru") == ["run"]
    assert complete("transferscope run strategy=scra") == ["strategy=scratch"]
    assert "target=handwritten_digits" in complete("transferscope run target=hand")
    assert complete("transferscope run trainer.ste") == ["trainer.steps="]


def test_help_and_cfg(capsys: pytest.CaptureFixture) -> None:
    assert main(["run", "--help"]) == 0
    assert "label_budget" in capsys.readouterr().out
    assert run("--cfg", "job", "seed=7", store=Path("nowhere")) == 0
    assert "seed: 7" in capsys.readouterr().out
    assert main(["rum"]) == 2
    assert "did you mean 'run'" in capsys.readouterr().err


def test_what_a_constructor_refuses_is_one_line_and_no_record(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run("strategy=last_groups", "strategy.groups=9", store=store) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "strategy.groups=9" in err
    assert record.run_folders(store) == [] and not (store / ".running").exists()  # told before anything began
    # scratch takes no groups
    assert run("-m", "strategy=last_groups,scratch", "+strategy.groups=9", store=store) == 2
    assert main(["run", "-m", *SMALL, "strategy=last_groups", "strategy.groups=1,9", f"store={store}"]) == 0
    assert (
        "not applicable (1): strategy.groups=9" in capsys.readouterr().err
        and len(record.run_folders(store)) == 1
    )
