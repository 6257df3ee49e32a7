"""The launcher of local sweeps: worker processes forked after the import, each given one job after another.

A fork costs milliseconds where a new process costs the imports. A job that ends its process (a signal, memory
that ran out, os._exit) is reported as such and the others go on."""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path

import torch
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from transferscope.errors import JobFailed, ProcessDied, RequestError
from transferscope.sweeps.composition import Composer
from transferscope.training.consumption import device

PATIENCE = 5  # seconds that interrupted workers are given to end by themselves


class Launcher(BasicLauncher):
    """n_jobs: processes side by side; `auto` gives each core one thread to run: cores / (trainer.threads ·
    trainer.devices).

    On a GPU the jobs run in this process, one after another: a process that has used CUDA cannot be forked.
    """

    def __init__(self, n_jobs: int | str = "auto"):
        if n_jobs != "auto" and (type(n_jobs) is not int or n_jobs < 1):
            raise RequestError(
                f"hydra.launcher.n_jobs={n_jobs}: a number of processes of at least 1, or auto, is needed"
            )
        super().__init__()
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        # OpenMP's threads do not pass a fork: those started before it would be waited for in vain
        torch.set_num_threads(1)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        if device(self.config.trainer.accelerator) != "cpu":
            return super().launch(job_overrides, initial_job_idx)
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        self.composer = Composer(self.hydra_context.config_loader, self.config)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        each = self.config.trainer.threads * self.config.trainer.devices
        processes = max(1, cores // each) if self.n_jobs == "auto" else self.n_jobs
        waiting = deque(enumerate(map(list, job_overrides), initial_job_idx))
        returns: dict[int, JobReturn] = {}
        busy: dict[connection.Connection, _Worker] = {}
        before = signal.signal(signal.SIGTERM, _terminated)
        try:
            while waiting or busy:
                while waiting and len(busy) < processes:
                    worker = _Worker(self._work, list(busy))
                    busy[worker.pipe] = worker
                    worker.give(waiting.popleft())
                for pipe in connection.wait(list(busy)):
                    worker = busy[pipe]
                    returns[worker.number] = worker.result()
                    if waiting and worker.process.is_alive():
                        worker.give(waiting.popleft())
                    else:
                        busy.pop(pipe).end()
        except (
            SystemExit
        ):  # the workers of a terminal get an interrupt too, an order to end comes to this process alone
            for worker in busy.values():
                worker.process.terminate()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
            for worker in busy.values():
                worker.stop()
        return [returns[number] for number in sorted(returns)]

    def _work(self, pipe: connection.Connection) -> None:
        """What a worker does until it is handed nothing."""
        # not through the display of the process it was forked from
        sys.stdout, sys.stderr = (sys.__stdout__, sys.__stderr__)
        with suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
            while job := pipe.recv():
                number, overrides = job
                done = run_job(
                    hydra_context=self.hydra_context, task_function=self.task_function,
                    config=self.composer.job_config(overrides, number), job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )  # fmt: skip
                value = done._return_value
                has_failed = done.status == JobStatus.FAILED
                pipe.send((has_failed, (str(value) or type(value).__name__) if has_failed else value))


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)


class _Worker:
    """A forked process and the pipe on which it is handed jobs."""

    def __init__(self, work: Callable[[connection.Connection], None], others: list[connection.Connection]):
        fork = get_context("fork")
        self.pipe, theirs = fork.Pipe()

        def begin() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for pipe in (
                self.pipe,
                *others,
            ):  # held open here as well, they would never tell that the sweep's process was killed
                pipe.close()
            work(theirs)

        self.process = fork.Process(target=begin)
        self.process.start()
        theirs.close()

    def give(self, job: tuple[int, list[str]]) -> None:
        self.number, self.overrides = job
        with suppress(BrokenPipeError):  # it died meanwhile; `result` says so
            self.pipe.send(job)

    def result(self) -> JobReturn:
        try:
            has_failed, value = self.pipe.recv()
            value = JobFailed(value) if has_failed else value
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            has_failed = True
            value = ProcessDied(
                f"process ended by {signal.Signals(-code).name}"
                if code < 0
                else f"process ended itself with status {code}"
            )
        status = JobStatus.FAILED if has_failed else JobStatus.COMPLETED
        return JobReturn(overrides=self.overrides, status=status, _return_value=value)

    def end(self) -> None:
        with suppress(BrokenPipeError):
            self.pipe.send(None)
        self.process.join()
        self.pipe.close()

    def stop(self) -> None:
        """After an interrupt, which the workers of a terminal have got too. What a killed one was at is
        resumed another time."""
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()
