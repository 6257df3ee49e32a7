"""Backbone and head of a request, with the weights that its initialisation names."""

import json
from functools import lru_cache

import torch
from hydra.utils import instantiate

from transferscope.backbones.base import Backbone
from transferscope.data import splits
from transferscope.networks.classifier import Classifier
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
    network = Classifier(instantiate(backbone, input_shape=run_data.input_shape, _convert_="all"), outputs)
    if initialisation == "pretrained":
        network.backbone.freeze_trunk()
    return network


def probe(request: Request, run_data: splits.RunData) -> Classifier:
    """A head of the run's own on the pretrained backbone, which is one for all runs of a process that train
    the head alone."""
    backbone = {key: value for key, value in request.asked.backbone.items() if key != "name"}
    shared = _pretrained(json.dumps(backbone, sort_keys=True), tuple(run_data.input_shape))
    torch.manual_seed(int(splits.generator("head", *request.stream()).integers(2**62)))
    return Classifier(shared, run_data.task.outputs)


@lru_cache(maxsize=1)
def _pretrained(backbone: str, input_shape: tuple[int, ...]) -> Backbone:
    built: Backbone = instantiate(json.loads(backbone), input_shape=input_shape, _convert_="all")
    return built
