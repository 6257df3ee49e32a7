"""What a network gave of the evaluated items at each evaluation, on disk while it trains."""

import hashlib
import io
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor

from transferscope.store import digests

FOLDER = "outputs"  # in that of a run in progress
Written = dict[int, tuple[int, str]]  # by step: bytes of a file, and its digest


class StoredOutputs(MutableMapping[int, Tensor]):
    """Outputs [n, ...] of one evaluated set by step: folder/SET/STEP.npy, written once, memory-mapped when
    they are read. written: what a checkpoint says of the files."""

    def __init__(self, folder: Path, name: str):
        self.folder = folder / FOLDER / quote(name, safe="")
        self.written: Written = {}

    def __setitem__(self, step: int, outputs: Tensor) -> None:
        values = np.ascontiguousarray(outputs.numpy())
        start = io.BytesIO()
        np.lib.format.write_array_header_1_0(start, np.lib.format.header_data_from_array_1_0(values))
        self.folder.mkdir(parents=True, exist_ok=True)
        draft, digest = self.folder / "draft", hashlib.blake2b(digest_size=digests.BYTES)
        with open(draft, "wb") as file:
            for part in (start.getvalue(), values.reshape(-1).data):
                digest.update(part)
                file.write(part)
        os.replace(draft, self._path(step))
        self.written[step] = start.tell() + values.nbytes, digest.hexdigest()

    def __getitem__(self, step: int) -> Tensor:
        if step not in self.written:
            raise KeyError(step)
        # of a private map nothing is written back; torch warns of one that cannot be written to
        return torch.from_numpy(np.load(self._path(step), mmap_mode="c", allow_pickle=False))

    def __delitem__(self, step: int) -> None:
        del self.written[step]
        self._path(step).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[int]:
        return iter(self.written)

    def __len__(self) -> int:
        return len(self.written)

    def are_whole(self, written: Written) -> bool:
        """Whether the files are those that a checkpoint says were written: all are read."""
        for step, (size, digest) in written.items():
            path = self._path(step)
            if not path.is_file() or path.stat().st_size != size or digests.digest(path) != digest:
                return False
        return True

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:06d}.npy"
