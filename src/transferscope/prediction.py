"""What distances and transferability scores say of candidate sources before anything is trained on the target."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from transferscope import artifacts, distances, record, transferability
from transferscope.data import splits
from transferscope.data.domain import fit_images
from transferscope.errors import Refused
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.request import Request, check_values, plain, resolve

MOST_ITEMS = 2000
RAW_SIZE = 16  # pixels a side of the images whose inputs are compared: distances need covariances of all pixels
SEES = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
SEED = 0  # of the directions and folds that distances draw: the same for every source

Numbers = dict[str, float | dict[str, float] | None]


@dataclass(frozen=True)
class Candidate:
    """A source beside the target, cut to the items that count. `task` has given up its pools."""

    request: Request
    task: splits.Task
    training_items: int
    source: Tensor  # [at most MOST_ITEMS, ...] in a fixed order
    source_labels: Tensor  # [training_items], into source_classes
    target: Tensor  # [at most MOST_ITEMS, ...], the same for every candidate
    labelled: splits.Labelled | None  # the target items of the budget, without those set aside for validation


def predict(configs: list[DictConfig]) -> dict[str, Any]:
    """Measure every candidate source; the configs differ in `source` alone. What `predict --format json` prints, less its `reading`.

    Trains each source's model where the store has none. Raises Refused for a wrong request.
    """
    candidates = [candidate(config) for config in configs]
    first = candidates[0]
    c = first.request.config
    record.check_writable(first.request.store)
    torch.set_num_threads(c["trainer"]["threads"])
    count = min(len(one.source) for one in candidates)
    pretrained = first.request.consumed["backbone"].get("weights", "random") != "random"
    rows = [measure(replace(one, source=one.source[:count]), pretrained, configs[0].label_budget) for one in candidates]
    return {
        "target": first.task.target.name,
        "label_budget": configs[0].label_budget,
        "backbone": first.request.cell["backbone"],
        "seed": c["seed"],
        "features_of": "pretrained weights" if pretrained else "each source's model",
        "items": {"source": count, "target": len(first.target), "target_labelled": 0 if first.labelled is None else len(first.labelled.labels)},
        "sources": rows,
    }


def candidate(config: DictConfig) -> Candidate:
    """Check one config and choose the items: training items alone, in an order that `split_seed` fixes."""
    check_values(plain(config))
    sees = SEES if config.label_budget != 0 else SEES - {"target_labels"}
    # a source's model is that of fine_tuning, which wants a label; the model itself does not depend on the budget
    request = resolve(OmegaConf.merge(config, {"label_budget": config.label_budget or 1}))
    c = request.config
    task = splits.prepare(
        request.target, request.sources, sees, config.label_budget, c["seed"], c["split_seed"],
        source_label_noise=c["source_label_noise"], image_size=c["image_size"], channels=c["channels"],
    )  # fmt: skip
    source, labelled, target = task.pools

    def chosen(name: str, n: int) -> np.ndarray:
        return splits.generator("predict", c["split_seed"], name).permutation(n)[:MOST_ITEMS]

    if labelled is not None:
        labelled = splits.Labelled(*(column[chosen("labelled", len(labelled.labels))] for column in labelled))
    return Candidate(
        request, replace(task, pools=splits.Pools(), evaluated={}), len(source.labels), source.inputs[chosen("source", len(source.labels))],
        source.labels, target[chosen("target", len(target))], labelled,
    )  # fmt: skip


def measure(one: Candidate, pretrained: bool, budget: int | str) -> dict[str, Any]:
    """All numbers of one source, and the reasons for those that could not be had."""
    task, shelf, reasons = one.task, distances.available(), {}

    def numbers(group: str, functions: dict[str, Callable], given: dict[str, Any]) -> Numbers:
        found, why = measured(functions, given)
        reasons.update({f"{group}/{name}": reason for name, reason in why.items()})
        return found

    row = {
        "source": one.request.cell["source"],
        "training_items": one.training_items,
        "classes_shared": f"{len(set(task.classes) & set(task.source_classes))} of {len(task.classes)}",
        "source_seconds": None,
        "inputs": numbers("inputs", shelf, {"source": raw(one.source), "target": raw(one.target)}),
        "features": {},
        "labels": {},
        "scores": {},
        "reasons": reasons,
    }
    if budget == "full":
        names = sorted({*task.classes, *task.source_classes})
        index = [torch.tensor([names.index(c) for c in classes]) for classes in (task.source_classes, task.classes)]
        given = {"source_labels": index[0][one.source_labels], "target_labels": index[1][one.labelled.labels]}
        row["labels"] = numbers("labels", shelf, given)
    else:
        reasons["labels"] = "their shift needs label_budget=full: a smaller budget draws equally many of every class"
    try:
        network, row["source_seconds"] = source_network(one)
    except FloatingPointError as error:
        reasons["features and scores"] = str(error)
        return row
    device = one.request.consumed["device"]
    if pretrained:
        backbone = artifacts.build_network(one.request, task, len(task.classes), one.request.stream(), "pretrained").backbone
    else:
        backbone = network.backbone
    source, target = (in_chunks(backbone.eval().to(device), inputs, device).double() for inputs in (one.source, one.target))
    row["features"] = numbers("features", shelf, dict(zip(("source", "target"), in_units(source, target), strict=True)))
    if one.labelled is not None:
        features = in_chunks(network.backbone, one.labelled.inputs, device)
        with torch.no_grad():
            probabilities = network.head.cpu()(features).softmax(1).numpy()
        given = {"features": features.numpy(), "labels": one.labelled.labels.numpy(),
                 "source_probabilities": probabilities, "source_predictions": probabilities.argmax(1)}  # fmt: skip
        row["scores"] = numbers("scores", transferability.available(), given)
    return row


def source_network(one: Candidate) -> tuple[Classifier, float]:
    """The source's model in evaluation mode and the seconds its training took now, 0 where the store had it."""
    weights, seconds = artifacts.source_model(one.request, one.task)
    network, _ = artifacts.source_network(one.request, one.task)
    network.load_state_dict(weights)
    if not all(torch.isfinite(weight).all() for weight in weights.values()):
        raise FloatingPointError("the source model did not train: its weights are not finite")
    return network.eval().to(one.request.consumed["device"]), seconds


def measured(functions: dict[str, Callable], given: dict[str, Any]) -> tuple[Numbers, dict[str, str]]:
    """The values of all functions whose arguments without a default are among those given, by name; and why a value is missing."""
    values, reasons = {}, {}
    for name, function in functions.items():
        wanted = {p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty}
        fresh = {"generator": torch.Generator().manual_seed(SEED)}
        if not wanted <= given.keys() | fresh.keys() or wanted <= fresh.keys():
            continue
        try:
            value = function(**{key: value for key, value in (given | fresh).items() if key in wanted})
        except Refused as refusal:
            values[name], reasons[name] = None, str(refusal).removeprefix(f"{name}: ")
            continue
        estimate, bounds = value if isinstance(value, tuple) else (value, ())
        numbers = [float(number) for number in (estimate, *bounds)]
        if not all(map(math.isfinite, numbers)):
            values[name], reasons[name] = None, "infinite" if math.isinf(numbers[0]) else "not a number"
        else:
            values[name] = dict(zip(("estimate", "lo", "hi"), numbers, strict=True)) if bounds else numbers[0]
    return values, reasons


def raw(inputs: Tensor) -> Tensor:
    """Inputs as float64 [N, d]: images at RAW_SIZE px or less a side, from 0 to 1; anything else as it is."""
    if inputs.dtype == torch.uint8 and inputs.ndim == 4:
        return fit_images(inputs, min(RAW_SIZE, inputs.shape[-1]), inputs.shape[1]).flatten(1).double() / 255
    return inputs.flatten(1).double()


def in_units(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both [N, d] divided by the features' standard deviation inside the two domains: every source's model has a scale of its own."""
    scale = ((source.var(0).mean() + target.var(0).mean()) / 2).sqrt()
    return (source / scale, target / scale) if scale > 0 else (source, target)
