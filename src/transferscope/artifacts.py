"""What runs share, computed once a store: source models, one per source, backbone and seed, addressed by what they consume."""

import os
import time
from pathlib import Path

import torch
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from torch import Tensor

from transferscope.data import splits
from transferscope.networks.classifier import Classifier
from transferscope.record import fingerprint, locked
from transferscope.request import Request
from transferscope.strategies.source_only import SourceOnly
from transferscope.training import fit

# the part of a run that its source model depends on: nothing of the target
SOURCE_KEYS = ("backbone", "sources", "source_label_noise", "seed", "split_seed", "device", "precision", "image_size", "channels")


def source_model_key(request: Request, task: splits.Task) -> str:
    consumed = {key: request.consumed[key] for key in SOURCE_KEYS}
    trainer = {key: value for key, value in request.consumed["trainer"].items() if key != "steps"}
    return fingerprint({**consumed, "trainer": trainer, "input_shape": task.input_shape, "version": SourceOnly.version})


def _path(request: Request, task: splits.Task) -> Path:
    return request.store / ".cache" / "source_models" / f"{source_model_key(request, task)}.safetensors"


def build_network(request: Request, task: splits.Task, classes: int, stream: tuple, initialisation: str) -> Classifier:
    """Backbone and head with `initialisation` random or pretrained, drawn from `stream`."""
    backbone = {key: value for key, value in request.config["backbone"].items() if key != "name"}
    if initialisation == "random" and "weights" in backbone:
        backbone["weights"] = "random"
    torch.manual_seed(int(splits.generator("initialisation", *stream).integers(2**62)))
    network = Classifier(instantiate(backbone, input_shape=task.input_shape, _convert_="all"), classes)
    return network.to(memory_format=torch.channels_last)  # convolutions on a CPU train 1.4 times as fast


def source_network(request: Request, task: splits.Task) -> tuple[Classifier, tuple]:
    """The untrained network of a source model, and the stream its training draws from: the same wherever it is trained."""
    stream = (request.config["seed"], SourceOnly.__name__)
    own = "random" if request.consumed["backbone"].get("weights", "random") == "random" else "pretrained"
    return build_network(request, task, len(task.source_classes), stream, own), stream


def source_model(request: Request, task: splits.Task) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds) of the source model; trained here if no run of this store has yet, else 0 seconds."""
    path = _path(request, task)
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            began = time.perf_counter()
            c = request.config
            network, stream = source_network(request, task)
            pool, _ = splits.source_pool(
                request.sources, task.source_classes, c["seed"], c["split_seed"], c["source_label_noise"], task.input_shape
            )
            settings = request.settings(c["trainer"]["source_steps"])
            fit(SourceOnly(network), splits.Pools(source=pool), {}, settings, stream)  # one that diverged hands its NaN on: so will the run
            deposit_source_model(request, task, network)
            return load_file(path), time.perf_counter() - began
    return load_file(path), 0.0


def deposit_source_model(request: Request, task: splits.Task, network: Classifier) -> None:
    """Leave a trained source model for the other runs of the store: whole or not at all."""
    path = _path(request, task)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".draft-{os.getpid()}")
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}, draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
