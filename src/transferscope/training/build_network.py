"""Backbone and head of a request, with the weights that its initialisation names."""

import json
from functools import lru_cache

import torch

from transferscope.backbones.base import Backbone
from transferscope.data import splits
from transferscope.networks.classifier import Classifier
from transferscope.training.build_backbone import build_backbone
from transferscope.training.request import Request
from transferscope.training.settings import Stream


def build_network(
    request: Request, run_data: splits.RunData, outputs: int, stream: Stream, initialisation: str
) -> Classifier:
    """Backbone and head with `initialisation` random or pretrained, drawn from `stream`."""
    backbone = {key: value for key, value in request.asked.backbone.items() if key != "name"}
    if initialisation == "random" and "weights" in backbone:
        backbone["weights"] = "random"
    torch.manual_seed(int(splits.generator("initialisation", *stream).integers(2**62)))
    network = Classifier(build_backbone(backbone, run_data.input_shape, run_data.target.columns), outputs)
    network.columns, network.reader = run_data.target.columns, run_data.reader
    network.backbone.keep_reader(run_data.reader)
    if initialisation == "pretrained":
        network.backbone.freeze_trunk()
    return network


def probe(request: Request, run_data: splits.RunData) -> Classifier:
    """A head of the run's own on the pretrained backbone, which is one for all runs of a process that train
    the head alone."""
    backbone = {key: value for key, value in request.asked.backbone.items() if key != "name"}
    columns = json.dumps(run_data.target.columns)
    shared = _pretrained(json.dumps(backbone, sort_keys=True), tuple(run_data.input_shape), columns)
    torch.manual_seed(int(splits.generator("head", *request.stream()).integers(2**62)))
    network = Classifier(shared, run_data.task.outputs)
    network.reader = run_data.reader
    return network


@lru_cache(maxsize=1)
def _pretrained(backbone: str, input_shape: tuple[int, ...], columns: str) -> Backbone:
    return build_backbone(json.loads(backbone), input_shape, json.loads(columns))
