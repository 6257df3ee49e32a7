"""The features that a frozen backbone gives of an item, computed once a store."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from transferscope.data import tensor_files
from transferscope.data.on_disk import OnDisk, joined
from transferscope.networks.frozen import CHUNK, frozen_features
from transferscope.networks.tokens import is_tokens
from transferscope.store.lease import locked

SHARD = 4096  # items of a file of features: what a killed process had finished stays
IN_MEMORY = 2**28  # bytes: more features than these stay in the store's files, which are mapped


class FrozenFeatures:
    """`frozen_features`, with each item's row kept in the store: every run finds it there, whichever asked
    first.

    A folder of `.cache/features` is a backbone, known by its weights and by what it makes of noise, so that
    other code, libraries or hardware never pass for the same. In it are files of `items` [n, 16], hashes of
    the items' bytes, and `rows` [n, d]."""

    def __init__(self, store: Path):
        self.folder = store / ".cache" / "features"
        self.addressed: tuple[list[object], Path] | None = None
        self.known: dict[Path, dict[bytes, tuple[Tensor, int]]] = {}  # by file: where an item's row lies

    def __call__(
        self, backbone: nn.Module, inputs: Tensor | OnDisk, device: torch.device | str
    ) -> Tensor | OnDisk:
        """Features [N, d] of inputs [N, ...]: those of `frozen_features`, bit by bit. Of IN_MEMORY bytes or
        fewer they are a tensor, more are read by rows when asked for."""
        if getattr(backbone, "weightless", False):
            return frozen_features(backbone, inputs, device)
        folder = self._address(backbone, inputs, device)
        pieces = (piece.flatten(1).contiguous().numpy() for piece in inputs.split(CHUNK))
        items = [hashlib.blake2b(item, digest_size=16).digest() for piece in pieces for item in piece]
        known = self._read(folder)
        if not known.keys() >= set(items):
            with locked(folder.with_suffix(".lock")):
                known = self._read(folder)  # with what another process left meanwhile
                missing = list(
                    {item: place for place, item in enumerate(items) if item not in known}.values()
                )
                for start in range(0, len(missing), SHARD):
                    places = missing[start : start + SHARD]
                    some = inputs.view(places) if isinstance(inputs, OnDisk) else inputs[places]
                    rows = frozen_features(backbone, some, device)
                    if not known and not _stand_alone(backbone, some, rows, device):
                        return frozen_features(backbone, inputs, device)
                    self._keep(folder, [items[place] for place in places], rows)
                    known = self._read(folder)
        where = [known[item] for item in items]

        def read(numbers: np.ndarray) -> Tensor:
            return torch.stack([rows[place] for rows, place in (where[number] for number in numbers)])

        every, one = np.arange(len(where)), where[0][0][0]
        if one.element_size() * one.numel() * len(where) <= IN_MEMORY:
            return read(every)
        return OnDisk(read, every, tuple(one.shape), dtype=one.dtype)

    def _address(self, backbone: nn.Module, inputs: Tensor | OnDisk, device: torch.device | str) -> Path:
        """The folder of a backbone, hashed anew only where its weights have been written to."""
        state = backbone.state_dict()
        versions: list[object] = [
            inputs.dtype,
            inputs.shape[1:],
            *((tensor.data_ptr(), tensor._version) for tensor in state.values()),
        ]
        if self.addressed is None or self.addressed[0] != versions:
            h = hashlib.blake2b(digest_size=16)
            for name, tensor in state.items():
                # as it lies in memory, uncopied
                tensor_files.add_tensor(h, name, tensor.permute(tensor.dim_order()))
            with torch.no_grad():
                tensor_files.add_tensor(
                    h,
                    f"{torch.device(device).type} {torch.get_num_threads()}",
                    backbone(_noise(2, inputs).to(device)),
                )
            self.addressed = versions, self.folder / h.hexdigest()
        return self.addressed[1]

    def _read(self, folder: Path) -> dict[bytes, tuple[Tensor, int]]:
        for path in sorted(folder.glob("*.safetensors")):
            if path not in self.known and (kept := tensor_files.read(path)) is not None:
                self._know(path, [item.tobytes() for item in kept[0]["items"].numpy()], kept[0]["rows"])
        return {
            item: row
            for path, rows in self.known.items()
            if path.parent == folder
            for item, row in rows.items()
        }

    def _keep(self, folder: Path, items: list[bytes], rows: Tensor) -> None:
        joined = b"".join(items)
        path = folder / f"{hashlib.blake2b(joined, digest_size=8).hexdigest()}.safetensors"
        hashes = torch.frombuffer(bytearray(joined), dtype=torch.uint8).view(len(items), -1)
        tensor_files.write(path, {"items": hashes, "rows": rows})
        self._know(path, items, rows)

    def _know(self, path: Path, items: list[bytes], rows: Tensor) -> None:
        self.known[path] = {item: (rows, place) for place, item in enumerate(items)}


def _noise(count: int, inputs: Tensor | OnDisk) -> Tensor:
    """`count` items of the shape and type of `inputs`, always the same."""
    draw, highest = torch.Generator().manual_seed(0), 8 if is_tokens(inputs) else 256  # of any vocabulary
    return torch.randint(0, highest, (count, *inputs.shape[1:]), generator=draw).to(inputs.dtype)


def _stand_alone(
    backbone: nn.Module, inputs: Tensor | OnDisk, rows: Tensor, device: torch.device | str
) -> bool:
    """Whether an item's features are the same bits at another place among other items: not where a backbone
    normalises by the batch."""
    inputs, noise = inputs[: CHUNK // 2], _noise(2 if is_tokens(inputs) else CHUNK // 2, inputs)
    elsewhere = frozen_features(backbone, joined([noise, inputs]), device)[len(noise) :]
    return torch.equal(elsewhere, rows[: len(inputs)])
