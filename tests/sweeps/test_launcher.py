"""The local launcher: forked workers give what one process gives, and a job that ends its process takes
nothing with it."""

import os
import signal
import time
from pathlib import Path

import pytest

from deadly_jobs import DEATHS, SMALL, results
from forked import exit_code, forked
from transferscope.cli.main import main
from transferscope.store import lease

SAME = ["run", "-m", *SMALL, "strategy=scratch,fine_tuning,dann", "seed=0,1"]


@pytest.fixture(scope="module")
def one_after_another(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    store = tmp_path_factory.mktemp("basic")
    assert main([*SAME, "hydra/launcher=basic", f"store={store}"]) == 0
    return results(store)


@pytest.mark.parametrize("name", ["local", pytest.param("joblib", marks=pytest.mark.slow)])
def test_every_launcher_gives_the_same_records(
    name: str, one_after_another: dict[str, tuple], tmp_path: Path
) -> None:
    """joblib's processes import torch again."""
    assert main([*SAME, f"hydra/launcher={name}", "hydra.launcher.n_jobs=2", f"store={tmp_path}"]) == 0
    assert len(one_after_another) == 6 and results(tmp_path) == one_after_another


def test_a_job_that_ends_its_process_takes_nothing_with_it(
    deadly: Path, capfd: pytest.CaptureFixture
) -> None:
    store = deadly / "runs"
    grid = [
        "run",
        "-m",
        *SMALL,
        "source=null",
        f"strategy={','.join(DEATHS)},scratch",
        "seed=0",
        f"--config-dir={deadly / 'conf'}",
    ]
    assert main([*grid, f"store={store}"]) == 1
    error = capfd.readouterr().err
    assert "1 done" in error and "4 crashed" in error and "1 failed" in error
    for name, how in {
        "raises": "ArithmeticError: planted", "exits": "process ended itself with status 7",
        "leaves": "process ended itself with status 3", "segfaults": "process ended by SIGSEGV",
        "killed": "process ended by SIGKILL",
    }.items():  # fmt: skip
        assert any(name in line and how in line for line in error.splitlines()), (name, how)
    states = [lease.state(store, path.name) for path in (store / ".running").iterdir() if path.is_dir()]
    assert (
        "crashed",
        f"process ended by SIGKILL at step 10 of 20 on {os.uname().nodename}; resumes there",
    ) in states

    (deadly / "harmless").touch()
    assert main([*grid, f"store={store}"]) == 0
    assert main([*grid, f"store={deadly / 'undisturbed'}"]) == 0
    assert results(store) == results(deadly / "undisturbed")
    assert list((store / ".running").iterdir()) == []


@pytest.mark.parametrize("order", [signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_a_sweep_that_is_told_to(order: signal.Signals, tmp_path: Path) -> None:
    long = [word for word in SMALL if not word.startswith("trainer.steps")] + ["trainer.steps=200000"]
    sweep = ["run", "-m", *long, "strategy=scratch", "seed=0,1", f"store={tmp_path}"]
    process = forked(*sweep, "hydra.launcher.n_jobs=2")
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob(".running/*/claim.json"))) < 2:
        assert process.is_alive() and time.monotonic() < deadline, "the runs never started"
        time.sleep(0.05)
    # to all of a group as a terminal does, or to the process as `kill` and `timeout` do
    (os.killpg if order == signal.SIGINT else os.kill)(process.pid, order)
    assert exit_code(process, 120) == 128 + order
    # a worker that is told to end may have had a `git` of its own running, which was not told and ends by
    # itself
    deadline = time.monotonic() + (20 if order == signal.SIGTERM else 0)
    with pytest.raises(ProcessLookupError):  # nobody of its group is left
        os.killpg(process.pid, 0)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.killpg(process.pid, 0)


@pytest.mark.parametrize("value", ["0", "many", "true", "1.5"])
def test_a_wrong_number_of_processes_is_refused(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert (
        main(["run", "-m", *SMALL, "strategy=scratch", f"hydra.launcher.n_jobs={value}", f"store={tmp_path}"])
        == 2
    )
    assert (
        f"hydra.launcher.n_jobs={value.title() if value == 'true' else value}: a number of processes"
        in capsys.readouterr().err
    )
