"""The strategy on its initialised network."""

from torch import Tensor

from transferscope.data.splits import RunData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.training import source_models
from transferscope.training.build_network import build_network, probe
from transferscope.training.config import PRETRAINING
from transferscope.training.feature_cache import FrozenFeatures
from transferscope.training.request import Request


def build(request: Request, run_data: RunData) -> tuple[Strategy, float]:
    """The strategy on its initialised network, and the seconds its source model took."""
    seconds = 0.0
    if request.trains_source_model:
        network, _ = source_models.source_network(request, run_data)
    elif request.initialisation == "source":
        weights, seconds = source_models.source_model(request, run_data)
        network = build_network(request, run_data, run_data.task.outputs, request.stream(), "random")
        load_source(network, weights, run_data)
    elif request.initialisation in PRETRAINING:
        weights, seconds = source_models.pretrained_backbone(request, run_data)
        network = build_network(request, run_data, run_data.task.outputs, request.stream(), "random")
        network.backbone.load_state_dict(weights)
    elif request.initialisation == "pretrained" and request.strategy.trains_head_alone:
        network = probe(request, run_data)
    else:
        network = build_network(
            request, run_data, run_data.task.outputs, request.stream(), request.initialisation
        )
    if request.initialisation != "random":
        network.backbone.freeze_trunk()
    if run_data.sources:
        network.source_classes = run_data.source_task.outputs
    if request.strategy.beside_scratch:
        network.scratch = build_network(
            request, run_data, run_data.task.outputs, request.stream(), "random"
        ).state_dict()
    strategy = request.build_strategy(network)
    strategy.task = run_data.task
    strategy.frozen_features = FrozenFeatures(request.store)
    return strategy, seconds


def load_source(network: Classifier, weights: dict[str, Tensor], run_data: RunData) -> None:
    """Start from a source model, its head too where it predicts the same, at the target's scale then."""
    keep_head = run_data.task.has_outputs_of(run_data.source_task)
    if keep_head:
        head = weights["head.weight"], weights["head.bias"]
        adopted = run_data.task.adopted(*head, run_data.source_task)
        weights = weights | dict(zip(("head.weight", "head.bias"), adopted, strict=True))
    network.load_source(weights, keep_head)
