"""What runs share, computed once a store and addressed by what it consumes: source models and backbones that
were pre-trained on the source without its labels, one per source, backbone and seed; the features that a
frozen backbone gives of an item."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from transferscope.data import splits, tensor_files
from transferscope.networks.classifier import Classifier
from transferscope.store.lease import locked
from transferscope.store.record import fingerprint
from transferscope.strategies.base import Strategy
from transferscope.strategies.source_only import SourceOnly
from transferscope.training import reading
from transferscope.training.build_network import build_network
from transferscope.training.checks import REACHED_BY_START
from transferscope.training.config import PRETRAINING
from transferscope.training.fit import fit
from transferscope.training.request import Request
from transferscope.training.settings import Stream

# the part of a run that its source model depends on: of the target only where its inputs are learnt from
SOURCE_KEYS = (
    "backbone",
    "sources",
    "source_label_noise",
    "seed",
    "split_seed",
    "device",
    "precision",
    "image_size",
    "channels",
)


def source_model_consumes(request: Request) -> dict[str, Any]:
    """What of a run its source model or pre-trained backbone depends on, but for the size of the inputs."""
    consumed = {
        key: request.consumed[key] for key in (*SOURCE_KEYS, "source_tasks") if key in request.consumed
    }
    trainer = {
        key: value
        for key, value in request.consumed["trainer"].items()
        if key not in ("steps", "patience", "selection")
        # a callback is one of the run's own training
        and (key != "callbacks" or request.trains_source_model)
    }
    pretraining = (
        {"initialisation": request.initialisation, "source_label_noise": 0.0}
        if request.initialisation in PRETRAINING
        else {}
    )
    if "target_inputs" in REACHED_BY_START.get(request.initialisation, ()):
        pretraining |= {
            key: request.consumed[key]
            for key in ("target", "protocol", "fold", "folds")
            if key in request.consumed
        }
    rate = {"backbone_rate": request.source_backbone_rate} if request.source_backbone_rate != 1 else {}
    return {**consumed, "trainer": trainer, **pretraining, **rate}


def source_model_key(request: Request, run_data: splits.RunData) -> str:
    learner: type[Strategy] = PRETRAINING.get(request.initialisation, SourceOnly)
    return fingerprint(
        {**source_model_consumes(request), "input_shape": run_data.input_shape, "version": learner.version}
    )


def _path(request: Request, run_data: splits.RunData) -> Path:
    return request.store / ".cache" / "source_models" / f"{source_model_key(request, run_data)}.safetensors"


def source_network(request: Request, run_data: splits.RunData) -> tuple[Classifier, Stream]:
    """The untrained network of a source model, and the stream its training draws from: the same wherever it
    is trained."""
    stream = (request.asked.seed, SourceOnly.__name__)
    return build_network(request, run_data, run_data.source_task.outputs, stream, _own_start(request)), stream


def _own_start(request: Request) -> str:
    return "random" if request.consumed["backbone"].get("weights", "random") == "random" else "pretrained"


def source_model(request: Request, run_data: splits.RunData) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds) of the source model; trained here if no run of this store has yet, else 0
    seconds."""

    def trained() -> nn.Module:
        c = request.asked
        network, stream = source_network(request, run_data)
        pool, _ = splits.source_pool(
            request.sources,
            run_data.source_task,
            c.seed,
            c.split_seed,
            c.source_label_noise,
            request.own_shape,
        )
        pool = pool._replace(inputs=reading.rows_of(pool.inputs, run_data.reader, request.store))
        settings = request.settings(c.trainer.source_steps)
        strategy = SourceOnly(network)
        strategy.task = run_data.source_task
        strategy.backbone_rate = request.source_backbone_rate
        # one that diverged hands its NaN on: so will the run
        fit(strategy, splits.Pools(source=pool), {}, settings, stream)
        return network

    return _once(request, run_data, trained)


def pretrained_backbone(request: Request, run_data: splits.RunData) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds) of the backbone that learnt from inputs without labels, the source's or, of texts,
    the target's too; trained here if no run of this store has yet."""

    def trained() -> nn.Module:
        c, learner = request.asked, PRETRAINING[request.initialisation]
        stream = (c.seed, learner.__name__)
        network = build_network(request, run_data, learner.outputs, stream, _own_start(request))
        target = None
        if "target_inputs" in REACHED_BY_START[request.initialisation]:
            protocol = request.consumed["protocol"]
            target = splits.unlabelled_target(request.target, c.split_seed, c.in_fold, protocol)
        pool = splits.unlabelled_pool(request.sources, c.split_seed, request.own_shape, target)
        pool = pool._replace(inputs=reading.rows_of(pool.inputs, run_data.reader, request.store))
        strategy = learner(network)
        strategy.backbone_rate = request.source_backbone_rate
        fit(strategy, splits.Pools(source=pool), {}, request.settings(c.trainer.source_steps), stream)
        return network.backbone

    return _once(request, run_data, trained)


def _once(
    request: Request, run_data: splits.RunData, trained: Callable[[], nn.Module]
) -> tuple[dict[str, Tensor], float]:
    """(weights, seconds): trained and left for the other runs of the store where none of them has yet, else 0
    seconds."""
    path = _path(request, run_data)
    with locked(path.with_suffix(".lock")):
        if (kept := tensor_files.read(path)) is not None:
            return kept[0], 0.0
        began = time.perf_counter()
        deposit_source_model(request, run_data, trained())
        if (made := tensor_files.read(path)) is None:
            raise OSError(f"{path}: was taken away as soon as it was written")
        return made[0], time.perf_counter() - began


def deposit_source_model(request: Request, run_data: splits.RunData, network: nn.Module) -> None:
    """Leave a trained source model for the other runs of the store: whole or not at all."""
    tensor_files.write(_path(request, run_data), dict(network.state_dict()))
