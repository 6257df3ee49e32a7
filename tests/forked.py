"""A command in a process of its own, forked from that of the tests: a new one takes seconds to import."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable

import torch

from transferscope.cli.main import main


def forked(*words: str, first: Callable[[], object] = lambda: None) -> multiprocessing.Process:
    """transferscope WORDS, at the head of a process group of its own. first: what its process does before."""

    def begin() -> None:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
        torch.set_num_threads(1)  # OpenMP's threads do not pass a fork
        first()
        sys.exit(main(list(words)))

    process = multiprocessing.get_context("fork").Process(target=begin)
    process.start()
    return process


def exit_code(process: multiprocessing.Process, seconds: float) -> int | None:
    """Of a process that ends in time; else it is killed and there is none."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode
