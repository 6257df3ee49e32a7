"""Pictures that stay on disk: one file of decoded pixels, read by index into the batch that asks.

No worker processes and nothing read ahead: a batch costs one read an item from a file that needs no decoding,
which is what indexing a tensor costs while the system has the file in its own cache
(docs/explanation/speed.md). The file is read, not mapped: mapped pages would count as the process's."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from transferscope.data import tensor_files

PIECE = 2**24  # bytes read at once where a whole file is


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Images uint8 [N, C, H, W], or arrays float32 [N, d], as training asks a tensor for them: a slice is a
    view, an array of indices reads its items.

    read: rows [n] → [n, *item_shape]. rows: int64 [N], those that these items are. hashes: uint64 [N],
    see `item_hashes`."""

    read: Callable[[np.ndarray], Tensor]
    rows: np.ndarray
    item_shape: tuple[int, ...]
    digest: str = ""  # of all that a file holds; of a part there is none
    hashes: np.ndarray | None = None
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.uint8

    @property
    def ndim(self) -> int:
        return 1 + len(self.item_shape)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.item_shape

    @overload
    def __getitem__(self, items: slice) -> "OnDisk": ...

    @overload
    def __getitem__(self, items: int | Sequence[int] | np.ndarray | Tensor) -> Tensor: ...

    def __getitem__(self, items: "int | slice | Sequence[int] | np.ndarray | Tensor") -> "Tensor | OnDisk":
        if isinstance(items, slice):
            return self.view(items)
        rows = self.rows[np.asarray(items)]
        images = self.read(np.atleast_1d(rows)).to(self.device)
        return images if np.ndim(rows) else images[0]

    def view(self, items: "slice | Sequence[int] | np.ndarray") -> "OnDisk":
        """Some of the items; nothing is read."""
        return replace(
            self, rows=self.rows[items], digest="", hashes=None if self.hashes is None else self.hashes[items]
        )

    def selected(self, items: np.ndarray) -> "OnDisk":
        """Some of the items, with a digest of their own; nothing is read."""
        chosen = self.rows[items]
        digest = hashlib.blake2b(
            self.digest.encode() + chosen.astype(np.int64).tobytes(), digest_size=16
        ).hexdigest()
        return replace(self.view(items), digest=digest)

    def split(self, size: int) -> Iterator[Tensor]:
        """Batches of `size` items, each read when it is asked for."""
        return (self[np.arange(start, min(start + size, len(self)))] for start in range(0, len(self), size))

    def mapped(self, function: Callable[[Tensor], Tensor], item_shape: tuple[int, ...]) -> "OnDisk":
        """`function` of every batch that is read: [n, ...] → [n, *item_shape]."""
        return replace(
            self,
            read=lambda rows: function(self.read(rows)),
            item_shape=tuple(item_shape),
            digest="",
            hashes=None,
        )

    def to(self, device: torch.device | str) -> "OnDisk":
        """Batches are moved to the device as they are read."""
        return replace(self, device=device)


def joined(parts: Sequence[Tensor | OnDisk]) -> Tensor | OnDisk:
    """`torch.cat` of pools of which some may stay on disk."""
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat(list(parts))
    ends = np.cumsum([len(part) for part in parts])

    def read(rows: np.ndarray) -> Tensor:
        images = torch.empty(len(rows), *parts[0].shape[1:], dtype=parts[0].dtype)
        of_part = np.searchsorted(ends, rows, side="right")
        for number in np.unique(of_part):
            here = np.flatnonzero(of_part == number)
            images[here] = parts[number][rows[here] - (ends[number] - len(parts[number]))]
        return images

    return OnDisk(read, np.arange(ends[-1]), tuple(parts[0].shape[1:]), dtype=parts[0].dtype)


def item_hashes(items: np.ndarray) -> np.ndarray:
    """uint64 [n] of items [n, ...]: equal for items of the same bits, shape and type."""
    key = f"{items.dtype}{items.shape[1:]}".encode()[:64]
    rows = np.ascontiguousarray(items).reshape(len(items), -1).view(np.uint8)
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(row.data, digest_size=8, key=key).digest(), "little")
            for row in rows
        ],
        np.uint64,
    )


# --- the file: that of safetensors, which cannot write one piece by piece


def write(
    path: Path, names: list[str], pieces: Iterable[Tensor], item_shape: tuple[int, ...], facts: dict[str, str]
) -> None:
    """Leave `names` and their images, given as pieces [n, *item_shape], in a file that is whole or absent; no
    two pieces are in memory.

    The file keeps a hash of names and pixels, and one of each item. Its time of change is set to one that it
    names: while the two agree, nobody wrote into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft, shape = path.with_suffix(f".draft-{os.getpid()}"), (len(names), *item_shape)
    facts = {
        **facts,
        "names": json.dumps(names),
        "written": str(int(time.time())),
        "digest": "0" * 32,
        "hashed": "0" * 32,
    }
    h, hashes = _hash(facts["names"], shape), []
    try:
        with open(draft, "w+b") as file:
            file.write(_header(facts, shape))
            for piece in pieces:
                pixels = piece.contiguous().numpy()
                file.write(pixels)
                h.update(pixels)
                hashes.append(item_hashes(pixels))
            of_items = np.concatenate(hashes).tobytes()
            file.write(of_items)
            file.seek(0)
            file.write(_header(facts | {"digest": h.hexdigest(), "hashed": _hashed(of_items)}, shape))
        os.utime(draft, (int(facts["written"]),) * 2)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def open_file(path: Path, in_memory: int) -> tuple[Tensor | OnDisk, dict[str, str]] | None:
    """(images, facts) of a file that `write` left: mapped as a tensor where they are `in_memory` bytes or
    fewer, else left on disk.

    None where there is no such file. A damaged one is named on stderr and set aside as NAME.damaged, and
    there is none."""
    try:
        with safe_open(path, "pt") as content:  # which wants the length that the header tells
            facts, shape = content.metadata() or {}, tuple(content.get_slice("squares").get_shape())
            if not facts.keys() >= {"names", "written", "digest", "hashed"}:  # of an earlier version
                return None
            of_items = _read_hashes(path, shape)
            if math.prod(shape) <= in_memory:
                images = content.get_tensor("squares")
                whole = _digest(facts, shape, [images.numpy()]) == facts["digest"]
            else:
                images = _left_on_disk(path, shape, facts["digest"], np.frombuffer(of_items, np.uint64))
                whole = _is_untouched(path, facts, shape)
            whole = whole and _hashed(of_items) == facts["hashed"]
    except FileNotFoundError:
        return None
    except SafetensorError:
        whole = False
    if whole:
        return images, facts
    tensor_files.quarantine(path)
    return None


def _is_untouched(path: Path, facts: dict[str, str], shape: tuple[int, ...]) -> bool:
    """Told by the file's time; where that is another, by reading all of it, once."""
    if str(path.stat().st_mtime_ns) == facts["written"] + 9 * "0":
        return True
    with open(path, "rb") as file:
        file.seek(_offset(path))
        octets = math.prod(shape)
        if (
            _digest(
                facts, shape, (file.read(min(PIECE, octets - start)) for start in range(0, octets, PIECE))
            )
            != facts["digest"]
        ):
            return False
    with suppress(OSError, ValueError):
        os.utime(path, (int(facts["written"]),) * 2)
    return True


def _left_on_disk(path: Path, shape: tuple[int, ...], digest: str, hashes: np.ndarray) -> OnDisk:
    file, offset, octets = open(path, "rb", buffering=0), _offset(path), math.prod(shape[1:])  # noqa: SIM115 - open as long as it is read from

    def read(rows: np.ndarray) -> Tensor:
        images = np.empty((len(rows), *shape[1:]), np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            if os.preadv(file.fileno(), [image], offset + row * octets) != octets:
                raise OSError(f"{path}: ends before its item {row}")
        return torch.from_numpy(images)

    return OnDisk(read, np.arange(shape[0]), shape[1:], digest, hashes)


def _read_hashes(path: Path, shape: tuple[int, ...]) -> bytes:
    with open(path, "rb") as file:
        file.seek(_offset(path) + math.prod(shape))
        return file.read()


def _hashed(of_items: bytes) -> str:
    return hashlib.blake2b(of_items, digest_size=16).hexdigest()


def _header(facts: dict[str, str], shape: tuple[int, ...]) -> bytes:
    end = math.prod(shape)
    squares = {"dtype": "U8", "shape": shape, "data_offsets": (0, end)}
    hashes = {"dtype": "U64", "shape": shape[:1], "data_offsets": (end, end + 8 * shape[0])}
    text = json.dumps({"__metadata__": facts, "squares": squares, "hashes": hashes}).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _offset(path: Path) -> int:
    """Where the pixels begin."""
    with open(path, "rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def _hash(names: str, shape: tuple[int, ...]) -> "hashlib._Hash":
    return hashlib.blake2b(f"{names} {shape} ".encode(), digest_size=16)


def _digest(facts: dict[str, str], shape: tuple[int, ...], pieces: Iterable[bytes | np.ndarray]) -> str:
    h = _hash(facts["names"], shape)
    for piece in pieces:
        h.update(piece)
    return h.hexdigest()
