"""How many threads a process computes with."""

import torch
from threadpoolctl import threadpool_limits


def set_threads(number: int) -> None:
    """torch's, and those of the BLAS behind numpy and scipy, which else takes all cores in each of a sweep's
    processes."""
    torch.set_num_threads(number)
    threadpool_limits(number, user_api="blas")
