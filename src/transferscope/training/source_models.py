"""What runs share, computed once a store and addressed by what it consumes: source models and backbones that were pre-trained on the source
without its labels, one per source, backbone and seed; the features that a frozen backbone gives of an item."""

import hashlib
import json
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from transferscope.data import splits, tensor_files
from transferscope.data.on_disk import OnDisk, joined
from transferscope.networks.classifier import Classifier
from transferscope.networks.frozen import CHUNK, frozen_features
from transferscope.store.lease import locked
from transferscope.store.record import fingerprint
from transferscope.strategies.source_only import SourceOnly
from transferscope.training.checks import PRETRAINING
from transferscope.training.fit import fit
from transferscope.training.request import Request

SHARD = 4096  # items of a file of features: what a killed process had finished stays

# the part of a run that its source model depends on: nothing of the target
SOURCE_KEYS = ("backbone", "sources", "source_label_noise", "seed", "split_seed", "device", "precision", "image_size", "channels")


def source_model_consumes(request: Request) -> dict:
    """What of a run its source model or pre-trained backbone depends on, but for the size of the inputs."""
    consumed = {key: request.consumed[key] for key in SOURCE_KEYS}
    trainer = {key: value for key, value in request.consumed["trainer"].items() if key not in ("steps", "patience", "selection")}
    without_labels = {"initialisation": request.initialisation, "source_label_noise": 0.0} if request.initialisation in PRETRAINING else {}
    rate = {"backbone_rate": request.source_backbone_rate} if request.source_backbone_rate != 1 else {}
    return {**consumed, "trainer": trainer, **without_labels, **rate}


def source_model_key(request: Request, task: splits.Task) -> str:
    learner = PRETRAINING.get(request.initialisation, SourceOnly)
    return fingerprint({**source_model_consumes(request), "input_shape": task.input_shape, "version": learner.version})


def _path(request: Request, task: splits.Task) -> Path:
    return request.store / ".cache" / "source_models" / f"{source_model_key(request, task)}.safetensors"


def build_network(request: Request, task: splits.Task, classes: int, stream: tuple, initialisation: str) -> Classifier:
    """Backbone and head with `initialisation` random or pretrained, drawn from `stream`."""
    backbone = {key: value for key, value in request.config["backbone"].items() if key != "name"}
    if initialisation == "random" and "weights" in backbone:
        backbone["weights"] = "random"
    torch.manual_seed(int(splits.generator("initialisation", *stream).integers(2**62)))
    network = Classifier(instantiate(backbone, input_shape=task.input_shape, _convert_="all"), classes)
    if initialisation == "pretrained":
        network.backbone.freeze_trunk()
    return network


def probe(request: Request, task: splits.Task) -> Classifier:
    """A head of the run's own on the pretrained backbone, which is one for all runs of a process that train the head alone."""
    backbone = {key: value for key, value in request.config["backbone"].items() if key != "name"}
    shared = _pretrained(json.dumps(backbone, sort_keys=True), tuple(task.input_shape))
    torch.manual_seed(int(splits.generator("head", *request.stream()).integers(2**62)))
    return Classifier(shared, len(task.classes))


@lru_cache(maxsize=1)
def _pretrained(backbone: str, input_shape: tuple[int, ...]) -> nn.Module:
    return instantiate(json.loads(backbone), input_shape=input_shape, _convert_="all")


def source_network(request: Request, task: splits.Task) -> tuple[Classifier, tuple]:
    """The untrained network of a source model, and the stream its training draws from: the same wherever it is trained."""
    stream = (request.config["seed"], SourceOnly.__name__)
    return build_network(request, task, len(task.source_classes), stream, _own_start(request)), stream


def _own_start(request: Request) -> str:
    return "random" if request.consumed["backbone"].get("weights", "random") == "random" else "pretrained"


def source_model(request: Request, task: splits.Task) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds) of the source model; trained here if no run of this store has yet, else 0 seconds."""

    def trained() -> nn.Module:
        c = request.config
        network, stream = source_network(request, task)
        pool, _ = splits.source_pool(request.sources, task.source_classes, c["seed"], c["split_seed"], c["source_label_noise"], task.input_shape)
        settings = request.settings(c["trainer"]["source_steps"])
        strategy = SourceOnly(network)
        strategy.backbone_rate = request.source_backbone_rate
        fit(strategy, splits.Pools(source=pool), {}, settings, stream)  # one that diverged hands its NaN on: so will the run
        return network

    return _once(request, task, trained)


def pretrained_backbone(request: Request, task: splits.Task) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds) of the backbone that learnt from the source's inputs alone; trained here if no run of this store has yet."""

    def trained() -> nn.Module:
        c, learner = request.config, PRETRAINING[request.initialisation]
        stream = (c["seed"], learner.__name__)
        network = build_network(request, task, learner.outputs, stream, _own_start(request))
        pool = splits.unlabelled_source_pool(request.sources, c["split_seed"], task.input_shape)
        strategy = learner(network)
        strategy.backbone_rate = request.source_backbone_rate
        fit(strategy, splits.Pools(source=pool), {}, request.settings(c["trainer"]["source_steps"]), stream)
        return network.backbone

    return _once(request, task, trained)


def _once(request: Request, task: splits.Task, trained: Callable[[], nn.Module]) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds): trained and left for the other runs of the store where none of them has yet, else 0 seconds."""
    path = _path(request, task)
    with locked(path.with_suffix(".lock")):
        if (kept := tensor_files.read(path)) is not None:
            return kept[0], 0.0
        began = time.perf_counter()
        deposit_source_model(request, task, trained())
        return tensor_files.read(path)[0], time.perf_counter() - began


def deposit_source_model(request: Request, task: splits.Task, network: nn.Module) -> None:
    """Leave a trained source model for the other runs of the store: whole or not at all."""
    tensor_files.write(_path(request, task), dict(network.state_dict()))


class FrozenFeatures:
    """`frozen_features`, with each item's row kept in the store: every run finds it there, whichever asked first.

    A folder of `.cache/features` is a backbone, known by its weights and by what it makes of noise, so that other code, libraries or hardware
    never pass for the same. In it are files of `items` [n, 16], hashes of the items' bytes, and `rows` [n, d].
    """

    def __init__(self, store: Path):
        self.folder = store / ".cache" / "features"
        self.addressed: tuple[list, Path] | None = None
        self.known: dict[Path, dict[bytes, tuple[Tensor, int]]] = {}  # by file: where an item's row lies

    def __call__(self, backbone: nn.Module, inputs: Tensor | OnDisk, device: torch.device | str) -> Tensor:
        """Features [N, d] of inputs [N, ...]: those of `frozen_features`, bit by bit."""
        if getattr(backbone, "weightless", False):
            return frozen_features(backbone, inputs, device)
        folder = self._address(backbone, inputs, device)
        pieces = (piece.flatten(1).contiguous().numpy() for piece in inputs.split(CHUNK))
        items = [hashlib.blake2b(item, digest_size=16).digest() for piece in pieces for item in piece]
        known = self._read(folder)
        if not known.keys() >= set(items):
            with locked(folder.with_suffix(".lock")):
                known = self._read(folder)  # with what another process left meanwhile
                missing = list({item: place for place, item in enumerate(items) if item not in known}.values())
                for start in range(0, len(missing), SHARD):
                    places = missing[start : start + SHARD]
                    some = inputs.view(places) if isinstance(inputs, OnDisk) else inputs[places]
                    rows = frozen_features(backbone, some, device)
                    if not known and not _stand_alone(backbone, some[: CHUNK // 2], rows, device):
                        return frozen_features(backbone, inputs, device)
                    self._keep(folder, [items[place] for place in places], rows)
                    known = self._read(folder)
        return torch.stack([rows[place] for rows, place in (known[item] for item in items)])

    def _address(self, backbone: nn.Module, inputs: Tensor, device: torch.device | str) -> Path:
        """The folder of a backbone, hashed anew only where its weights have been written to."""
        state = backbone.state_dict()
        versions = [inputs.dtype, inputs.shape[1:], *((tensor.data_ptr(), tensor._version) for tensor in state.values())]
        if self.addressed is None or self.addressed[0] != versions:
            h = hashlib.blake2b(digest_size=16)
            for name, tensor in state.items():
                tensor_files.add_tensor(h, name, tensor.permute(tensor.dim_order()))  # as it lies in memory, uncopied
            with torch.no_grad():
                tensor_files.add_tensor(h, f"{torch.device(device).type} {torch.get_num_threads()}", backbone(_noise(2, inputs).to(device)))
            self.addressed = versions, self.folder / h.hexdigest()
        return self.addressed[1]

    def _read(self, folder: Path) -> dict[bytes, tuple[Tensor, int]]:
        for path in sorted(folder.glob("*.safetensors")):
            if path not in self.known and (kept := tensor_files.read(path)) is not None:
                self._know(path, [item.tobytes() for item in kept[0]["items"].numpy()], kept[0]["rows"])
        return {item: row for path, rows in self.known.items() if path.parent == folder for item, row in rows.items()}

    def _keep(self, folder: Path, items: list[bytes], rows: Tensor) -> None:
        joined = b"".join(items)
        path = folder / f"{hashlib.blake2b(joined, digest_size=8).hexdigest()}.safetensors"
        hashes = torch.frombuffer(bytearray(joined), dtype=torch.uint8).view(len(items), -1)
        tensor_files.write(path, {"items": hashes, "rows": rows})
        self._know(path, items, rows)

    def _know(self, path: Path, items: list[bytes], rows: Tensor) -> None:
        self.known[path] = {item: (rows, place) for place, item in enumerate(items)}


def _noise(count: int, inputs: Tensor) -> Tensor:
    """`count` items of the shape and type of `inputs`, always the same."""
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *inputs.shape[1:]), generator=draw).to(inputs.dtype)


def _stand_alone(backbone: nn.Module, inputs: Tensor, rows: Tensor, device: torch.device | str) -> bool:
    """Whether an item's features are the same bits at another place among other items: not where a backbone normalises by the batch."""
    elsewhere = frozen_features(backbone, joined([_noise(CHUNK // 2, inputs), inputs]), device)[CHUNK // 2 :]
    return torch.equal(elsewhere, rows[: len(inputs)])
