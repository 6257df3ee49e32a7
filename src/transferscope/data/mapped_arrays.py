"""Arrays larger than memory: .npy files that stay where they are, read by rows into the batch that asks."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from transferscope.data.on_disk import OnDisk, item_hashes
from transferscope.errors import RequestError

IN_MEMORY = 2**28  # bytes as float32: a larger array stays on disk
PIECE = 2**24  # bytes of what is checked and hashed at once


def open_matrix(file: Path, in_memory: int = IN_MEMORY) -> np.ndarray | OnDisk:
    """[N, d] of a .npy file: in memory where it is small, else rows float32 that are read when asked for.

    A large one is read once, a piece at a time, for its hashes and for values that are not finite. Raises
    RequestError for those, for what is no matrix of numbers, and for a file that cannot be read."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # readers of foreign bytes raise anything
        raise RequestError(f"{file} cannot be read ({' '.join(str(error).split())})") from error
    if array.ndim != 2 or not array.size or array.dtype.kind not in "biuf":
        raise RequestError(
            f"{file} is {array.dtype} of shape {array.shape}; allowed: numbers [items, features]"
        )
    if 4 * array.size <= in_memory:
        return np.array(array)
    digest, hashes = hashlib.blake2b(f"{array.shape}".encode(), digest_size=16), []
    step = max(1, PIECE // (4 * array.shape[1]))
    for start in range(0, len(array), step):
        rows = np.asarray(array[start : start + step], np.float32)
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise RequestError(
                f"{file} has {rows[row, column]} in row {start + row}, column {column}; all values must be "
                "finite"
            )
        digest.update(np.ascontiguousarray(rows).data)
        hashes.append(item_hashes(rows))

    def read(rows: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array[rows], np.float32))

    return OnDisk(
        read,
        np.arange(len(array)),
        array.shape[1:],
        digest.hexdigest(),
        np.concatenate(hashes),
        dtype=torch.float32,
    )
