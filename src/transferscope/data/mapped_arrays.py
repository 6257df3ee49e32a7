"""Arrays larger than memory: .npy files that stay where they are, read by rows into the batch that asks. They
are read and not mapped: mapped pages would count as the process's."""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferscope.data.on_disk import OnDisk, item_hashes
from transferscope.errors import RequestError

IN_MEMORY = 2**28  # bytes as float32: a larger array stays on disk
PIECE = 2**24  # bytes of what is checked and hashed at once


class Matrix(NamedTuple):
    """Of a .npy file: where [N, d] begins, in rows one after the other, and of what type."""

    shape: tuple[int, int]
    dtype: "np.dtype[Any]"
    offset: int


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
    if not array.flags.c_contiguous:
        raise RequestError(f"{file} holds columns one after the other; save np.ascontiguousarray of it")
    kept = Matrix((array.shape[0], array.shape[1]), array.dtype, int(array.offset))
    del array
    return _left_on_disk(file, kept)


def _left_on_disk(path: Path, matrix: Matrix) -> OnDisk:
    (items, width), octets = matrix.shape, matrix.shape[1] * matrix.dtype.itemsize
    file = open(path, "rb", buffering=0)  # noqa: SIM115 - open as long as it is read from

    def rows_at(row: int, count: int) -> np.ndarray:
        found = np.empty((count, width), matrix.dtype)
        if os.preadv(file.fileno(), [found.data], matrix.offset + row * octets) != count * octets:
            raise OSError(f"{path}: ends before its item {row}")
        return found.astype(np.float32, copy=False)

    digest, hashes = hashlib.blake2b(f"{matrix.shape}".encode(), digest_size=16), []
    step = max(1, PIECE // octets)
    for start in range(0, items, step):
        piece = rows_at(start, min(step, items - start))
        if not np.isfinite(piece).all():
            row, column = np.argwhere(~np.isfinite(piece))[0]
            raise RequestError(
                f"{path} has {piece[row, column]} in row {start + row}, column {column}; all values must be "
                "finite"
            )
        digest.update(piece.data)
        hashes.append(item_hashes(piece))

    def read(rows: np.ndarray) -> Tensor:
        found = np.empty((len(rows), width), np.float32)
        for place, row in enumerate(rows.tolist()):
            found[place] = rows_at(row, 1)
        return torch.from_numpy(found)

    return OnDisk(
        read,
        np.arange(items),
        (width,),
        digest.hexdigest(),
        np.concatenate(hashes),
        dtype=torch.float32,
    )
