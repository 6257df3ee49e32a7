"""One run on several devices: Lightning's DDP, a process a device, of which the one that was there is the
first.

A step's batch is dealt out over the processes, and gradients are averaged before each optimiser's step
(networks/across_processes.py): Lightning's wrapper does so once a `training_step`, which here takes many
steps."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from pytorch_lightning.strategies import DDPStrategy

from transferscope.errors import ProcessDied

PATIENCE = timedelta(days=1)  # of the others, while the first evaluates


class Environment(LightningEnvironment):
    """Of processes that are made here, all on this machine."""

    def __init__(self, rank: int, port: int):
        super().__init__()
        self.rank, self._main_port = rank, port

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self.rank


class Devices(DDPStrategy):
    """DDP whose module is not wrapped."""

    def configure_ddp(self) -> None:
        pass


@contextmanager
def of_several(number: int, work: Callable[[DDPStrategy], object]) -> Iterator[DDPStrategy]:
    """The strategy of this process; in further processes `work` is given theirs. They end when this one is
    done, or gone."""
    port = find_free_network_port()
    fork = get_context("fork")
    others = [fork.Process(target=_beside, args=(work, rank, port), daemon=True) for rank in range(1, number)]
    for other in others:
        other.start()
    try:
        yield Devices(cluster_environment=Environment(0, port), timeout=PATIENCE)
    except RuntimeError as error:
        if ended := [other.exitcode for other in others if other.exitcode is not None]:
            raise ProcessDied(f"another process of trainer.devices={number} ended with {ended[0]}") from error
        raise
    finally:
        for other in others:
            other.kill()
            other.join()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _beside(work: Callable[[DDPStrategy], object], rank: int, port: int) -> None:
    with open(os.devnull, "w") as nowhere:  # the first process says what is wrong
        os.dup2(nowhere.fileno(), 2)
        work(Devices(cluster_environment=Environment(rank, port), timeout=PATIENCE))
