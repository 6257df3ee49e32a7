"""A sweep whose processes are killed at random, its driver included, ends where one that was left alone
ends."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from deadly_jobs import results
from transferscope.cli.main import main

GRID = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=5", "trainer.steps=600",
    "trainer.source_steps=300",
        "trainer.evaluations=20", "tracking=off", "-m", "strategy=scratch,fine_tuning,dann",
        "seed=range(0,8)", "sweep=chaos", "hydra.launcher.n_jobs=2"]  # fmt: skip
RUNS, KILLS, SEED = 24, 20, 7


def temporary(store: Path) -> list[Path]:
    return [
        path
        for path in store.rglob("*")
        if ".draft" in path.name
        or path.name.startswith((".plan", ".probe", ".claim"))
        or "damaged" in path.name
    ]


def of_group(group: int) -> list[int]:
    """The processes of a group that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # gone meanwhile
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_twenty_random_kills_change_nothing(tmp_path: Path) -> None:
    chance, store = random.Random(SEED), tmp_path / "chaos"
    command = [sys.executable, "-m", "transferscope.cli", "run", *GRID, f"store={store}"]
    killed, status, deadline, groups = {"driver": 0, "worker": 0}, None, time.monotonic() + 600, []
    while status != 0:
        driver = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        groups.append(driver.pid)
        while (status := driver.poll()) is None:
            assert time.monotonic() < deadline, "the sweep never ended"
            time.sleep(chance.uniform(0, 0.2))
            workers = [pid for pid in of_group(driver.pid) if pid != driver.pid]
            kills, finished = sum(killed.values()), len(list(store.glob("*/record.json")))
            if (
                workers and kills < KILLS and finished >= kills * RUNS // (KILLS + 2)
            ):  # spread over the whole sweep, however fast it is
                who = "driver" if chance.random() < 0.3 else "worker"
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(driver.pid if who == "driver" else chance.choice(workers), signal.SIGKILL)
                    killed[who] += 1
    assert sum(killed.values()) == KILLS and all(killed.values()), killed
    assert [
        process for group in groups for process in of_group(group)
    ] == []  # workers end with a sweep that was killed
    assert main(["run", *GRID, f"store={tmp_path / 'undisturbed'}"]) == 0
    assert len(results(store)) == RUNS and results(store) == results(tmp_path / "undisturbed")
    assert list((store / ".running").iterdir()) == []  # neither work in progress nor locks
    assert [path for path in temporary(store) if ".cache" not in path.parts] == []
    assert main(["prune", str(store), "--yes"]) == 0
    assert temporary(store) == [] and list((store / ".cache").rglob("*.lock")) == []
    assert len(results(store)) == RUNS
