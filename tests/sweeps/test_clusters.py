"""Jobs through submitit, in processes of its own and on a Slurm of this machine: the same records, and a lost
job takes nothing with it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from deadly_jobs import SMALL, results
from transferscope.cli.main import main
from transferscope.errors import JobFailed, ProcessDied, order_to_stop
from transferscope.store import lease, record
from transferscope.sweeps.clusters import lost_jobs_are_outcomes

submitit = pytest.importorskip("submitit", reason="pip install 'transferscope[slurm]'")


def test_every_lost_job_is_an_outcome_and_the_others_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from submitit.core.utils import UncompletedJobError

    # seconds that a slow file system is given
    monkeypatch.setattr(submitit.LocalJob, "_results_timeout_s", 0)
    executor = submitit.LocalExecutor(tmp_path)
    over = {"status": JobStatus.FAILED, "_return_value": UncompletedJobError("timed-out too many times")}
    jobs = [
        executor.submit(os._exit, 3),
        executor.submit(int, "x"),
        executor.submit(JobReturn, **over),
        executor.submit(abs, -1),
    ]
    with lost_jobs_are_outcomes():
        ended, raised, stopped, fine = [job.results()[0] for job in jobs]
    assert isinstance(ended._return_value, ProcessDied) and "without a result" in str(ended._return_value)
    assert type(raised._return_value) is JobFailed and str(raised._return_value).startswith(
        "ValueError: invalid literal"
    )
    assert isinstance(stopped._return_value, ProcessDied) and "timed-out too many times" in str(
        stopped._return_value
    )
    assert {job.status for job in (ended, raised, stopped)} == {JobStatus.FAILED} and fine == 1
    with pytest.raises(UncompletedJobError):
        jobs[0].results()


HELD_UP = """
import os, time
from submitit.core.utils import UncompletedJobError
from transferscope.strategies.target_only import TargetOnly

class Waits(TargetOnly):
    def begin_interval(self, pools):
        while self.progress and not os.path.exists({gate!r}):
            time.sleep(0.1)

class IsLate(TargetOnly):
    def begin_interval(self, pools):
        if self.progress and not os.path.exists({gate!r}):
            raise UncompletedJobError("Job not requeued because: timed-out too many times.")
"""


def test_an_order_to_stop_is_known_by_what_was_made_of_it_where_training_stood() -> None:
    """inspect.getfullargspec, which Lightning calls at every step, turns any exception into a TypeError."""
    from submitit.core.utils import UncompletedJobError

    order = UncompletedJobError("timed-out too many times")
    made = TypeError("unsupported callable")
    made.__cause__ = order
    assert order_to_stop(made) is order_to_stop(order) is order
    assert order_to_stop(TypeError("unsupported callable")) is None and order_to_stop(None) is None


def until_gate_opens(folder: Path, name: str, kind: str) -> tuple[Path, Path]:
    """A strategy that gets no further than its first interval until a file is there. Gives the file and a
    folder for --config-dir."""
    choices = folder / "conf" / "strategy"
    choices.mkdir(parents=True)
    (choices / f"{name}.yaml").write_text(f"_target_: held_up.{kind}\nname: {name}\nstarts_from: random\n")
    (folder / "held_up.py").write_text(HELD_UP.format(gate=str(folder / "gate")))
    return folder / "gate", choices.parent


def test_a_job_whose_time_is_over_is_taken_up_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, registry = until_gate_opens(tmp_path, "late", "IsLate")
    monkeypatch.syspath_prepend(tmp_path)
    store = tmp_path / "runs"
    grid = [
        "run",
        "-m",
        *SMALL,
        "source=null",
        "strategy=late",
        f"--config-dir={registry}",
        "hydra/launcher=basic",
    ]
    assert main([*grid, f"store={store}"]) == 1
    [begun] = store.glob(".running/*/claim.json")
    status, detail = lease.state(store, begun.parent.name)
    assert status == "crashed" and "at step 10 of 20" in detail and record.run_folders(store) == []
    gate.touch()
    for folder in (store, tmp_path / "undisturbed"):
        assert main([*grid, f"store={folder}"]) == 0
    assert results(store) == results(tmp_path / "undisturbed")


@pytest.mark.slow
def test_submitit_local_gives_the_same_records(tmp_path: Path) -> None:
    grid = ["run", "-m", *SMALL, "strategy=scratch,fine_tuning,dann", "seed=0,1"]
    for launcher in ("submitit_local", "basic"):
        assert main([*grid, f"hydra/launcher={launcher}", f"store={tmp_path / launcher}"]) == 0
    assert len(results(tmp_path / "basic")) == 6
    assert results(tmp_path / "submitit_local") == results(tmp_path / "basic")


@pytest.mark.slow
def test_jobs_of_submitit_local_that_end_their_process(
    deadly: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(deadly))
    store = deadly / "runs"
    grid = [
        "run",
        "-m",
        *SMALL,
        "source=null",
        "strategy=raises,exits,killed,scratch",
        "seed=0",
        f"--config-dir={deadly / 'conf'}",
    ]
    assert main([*grid, "hydra/launcher=submitit_local", f"store={store}"]) == 1
    error = capfd.readouterr().err
    assert "1 done" in error and "2 crashed" in error and "1 failed" in error
    assert "ArithmeticError: planted" in error
    for name in ("exits", "killed"):
        assert any(
            "crashed" in line and name in line and "without a result" in line for line in error.splitlines()
        ), name
    (deadly / "harmless").touch()
    assert main([*grid, "hydra/launcher=submitit_local", f"store={store}"]) == 0
    assert main([*grid, f"store={deadly / 'undisturbed'}"]) == 0
    assert results(store) == results(deadly / "undisturbed")


# --- a Slurm of this machine: one controller, four nodes

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
InactiveLimit=0
KillWait=5
SlurmdParameters=config_overrides
NodeName=n[1-4] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=4000 \\
    State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=500 State=UP
"""
# submitit asks `sacct`, which has no answer where Slurm keeps no accounts
SACCT = r"""#!/bin/sh
echo 'JobID|State|NodeList'
scontrol -o show job | sed -nE \
    's/^JobId=[0-9]+ ArrayJobId=([0-9]+) ArrayTaskId=([0-9]+) .* JobState=([A-Z_]+) .*/\1_\2|\3|n1/p'
"""


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def free_ports(number: int) -> list[int]:
    """Consecutive ones, as nodes of one line of the configuration have."""
    first = next(
        port
        for port in range(17001, 30000, number)
        if all(_is_free(port + offset) for offset in range(number))
    )
    return [first + offset for offset in range(number)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installed where it is not and can be, and running; skipped with the reason otherwise. Gives the folder
    of its files."""
    if os.geteuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    if not (shutil.which("slurmctld") and shutil.which("munged")):
        if not shutil.which("apt-get"):
            pytest.skip("no Slurm here (slurmctld, munged), and no apt-get to install it by")
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "slurm-wlm", "munge"]
        quiet = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}  # 1: starts no service
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
        installed = subprocess.run(install, capture_output=True, text=True, env=quiet)
        if installed.returncode:
            pytest.skip(
                "Slurm cannot be installed: "
                f"{(installed.stderr.strip().splitlines() or ['apt-get failed'])[-1]}"
            )
    port, *nodes = free_ports(5)
    host = subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "state").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sacct").write_text(SACCT)
    (tmp_path / "bin" / "sacct").chmod(0o755)
    config = tmp_path / "slurm.conf"
    config.write_text(CONFIG.format(host=host, port=port, first=nodes[0], last=nodes[-1], folder=tmp_path))
    monkeypatch.setenv("SLURM_CONF", str(config))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in [
        name for name in os.environ if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF"
    ]:
        monkeypatch.delenv(name)
    daemons = []

    def start(*command: str, **settings: object) -> None:
        with open(tmp_path / f"{Path(command[0]).name}.log", "a") as log:
            daemons.append(
                subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **settings)
            )

    try:
        if subprocess.run(["munge", "-n"], capture_output=True).returncode:
            os.makedirs("/run/munge", exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            start(shutil.which("munged"), "--foreground", user="munge", group="munge")
            until(
                lambda: subprocess.run(["munge", "-n"], capture_output=True).returncode == 0,
                20,
                "munged does not answer",
            )
        start(shutil.which("slurmctld"), "-D", "-f", str(config))
        for number in range(1, 5):
            start(shutil.which("slurmd"), "-D", "-N", f"n{number}", "-f", str(config))
        until(lambda: sinfo().count("idle") == 4, 60, f"the nodes do not come up: see {tmp_path}/*.log")
        yield tmp_path
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True, timeout=30)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def sinfo() -> str:
    return subprocess.run(["sinfo", "-N", "-h", "-o", "%t"], capture_output=True, text=True).stdout


def jobs_in_the_queue() -> list[str]:
    """Their ids, tasks of an array apart."""
    return subprocess.run(
        ["squeue", "-r", "-h", "-o", "%i"], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.slow
def test_a_sweep_on_slurm_survives_a_cancelled_job_and_goes_on_by_the_same_command(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = slurm / "runs"
    gate, registry = until_gate_opens(slurm, "waits", "Waits")
    monkeypatch.setenv("PYTHONPATH", str(slurm))
    monkeypatch.syspath_prepend(slurm)
    transferscope = [sys.executable, "-m", "transferscope.cli"]
    grid = ["run", "-m", *SMALL, "strategy=scratch,fine_tuning,waits", "seed=0,1", f"--config-dir={registry}"]
    cluster = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug",
        "hydra.launcher.timeout_min=5",
               "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"]  # fmt: skip
    sweep = subprocess.Popen(
        [*transferscope, *grid, *cluster, f"store={store}"], stderr=subprocess.PIPE, text=True
    )
    watch = None
    try:
        until(
            lambda: len(record.run_folders(store)) == 4 and len(running(store)) == 2,
            180,
            "four runs done and two waiting were expected",
        )
        watch = subprocess.Popen(
            [*transferscope, "status", str(store), "--watch"], stdout=subprocess.PIPE, text=True
        )
        [cancelled, other] = sorted(running(store), key=lambda claim: claim["seed"])
        assert f"(process {other['pid']})" in state_of(store, other)[1]
        [job] = [name for name in jobs_in_the_queue() if name.endswith("_2")]  # one of each strategy is first
        subprocess.run(["scancel", job], check=True)
        until(lambda: state_of(store, cancelled)[0] == "crashed", 60, "the cancelled job went on")
        assert state_of(store, other)[0] == "running"
        gate.touch()
        error = sweep.communicate(timeout=180)[1]
        assert sweep.returncode == 1
        assert "5 done, 1 crashed" in error
        assert any(
            "waits" in line and "seed 0" in line and f"job {job}" in line and "CANCELLED" in line
            for line in error.splitlines()
        )

        assert watch.poll() is None  # the run that is missing is waited for
        again = subprocess.run(
            [*transferscope, *grid, *cluster, f"store={store}"], capture_output=True, text=True, timeout=180
        )
        assert again.returncode == 0 and "6 runs, 5 done" in again.stderr
        # six, and the one that was missing
        assert len(list((store / "sweeps" / ".submitit").glob("*/*_submitted.pkl"))) == 7
        assert watch.wait(30) == 0 and "6 of 6 done" in watch.stdout.read()
    finally:
        for process in (sweep, watch):
            if process and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
    assert main([*grid, "hydra/launcher=basic", f"store={slurm / 'here'}"]) == 0
    assert results(store) == results(slurm / "here")
    assert list((store / ".running").iterdir()) == []


@pytest.mark.slow
def test_a_job_whose_time_is_over_is_requeued_as_often_as_asked_and_then_crashed(
    slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = slurm / "runs"
    gate, registry = until_gate_opens(slurm, "waits", "Waits")
    monkeypatch.setenv("PYTHONPATH", str(slurm))
    monkeypatch.syspath_prepend(slurm)
    command = [
        "run",
        "-m",
        *SMALL,
        "source=null",
        "strategy=waits",
        f"--config-dir={registry}",
        f"store={store}",
    ]
    cluster = [
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.timeout_min=5",
        "hydra.launcher.max_num_timeout=1",
        "hydra.launcher.mem_gb=1",
    ]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "transferscope.cli", *command, *cluster], stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: running(store), 180, "the run never began")
        [first] = running(store)
        [job] = jobs_in_the_queue()
        time_is_over(job)
        until(
            lambda: any(claim["pid"] != first["pid"] for claim in running(store)),
            300,
            "the job was not requeued",
        )  # Slurm waits two minutes
        [second] = running(store)
        assert jobs_in_the_queue() == [job] and second["fingerprint"] == first["fingerprint"]
        time_is_over(job)
        error = sweep.communicate(timeout=180)[1]
    finally:
        sweep.kill()
        sweep.wait()
    assert sweep.returncode == 1 and "1 crashed" in error
    assert f"job {job}: Job not requeued because: timed-out too many times. at step 10 of 20" in error
    gate.touch()
    assert main(command) == 0


def time_is_over(job: str) -> None:
    """What Slurm sends a job some time before its limit."""
    subprocess.run(["scancel", "--signal=USR2", job], check=True)


def running(store: Path) -> list[dict]:
    """Claims of runs that are held up after their first interval, or were taken up there."""
    claims = {
        path.parent.name: lease.claim(store, path.parent.name) for path in store.glob(".running/*/claim.json")
    }
    return [{**claim, "fingerprint": name} for name, claim in claims.items() if claim and claim["step"] == 10]


def state_of(store: Path, claim: dict) -> tuple[str, str]:
    return lease.state(store, claim["fingerprint"])
