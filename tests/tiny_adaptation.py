"""A network and a batch small enough to compute a strategy's loss from its weights in numpy, and its
gradients numerically."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from transferscope.backbones.base import Backbone
from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy

Weights = dict[str, np.ndarray]


class Linear(Backbone):
    """[N, 3] → [N, 2]; notes with how many items it was called."""

    features = 2

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.calls = []

    def forward(self, inputs):
        self.calls.append(len(inputs))
        return self.layer(inputs)


class Normalised(Linear):
    """With a normalisation layer after it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(2)

    def forward(self, inputs):
        return self.norm(super().forward(inputs))


def network(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(Linear(), classes=3)


def ready(strategy: Strategy, steps_done: int = 0) -> Strategy:
    """In double precision, `steps_done` of 100 steps behind it."""
    strategy.double().set_length(100, optimizer=None, schedule="constant")
    strategy.steps_done.fill_(steps_done)
    strategy.on_fit_start()
    strategy.on_train_epoch_start()
    return strategy


def batch(with_labels: bool = False) -> Batch:
    """4 source items, 5 unlabelled ones, 2 labelled ones of the target."""
    inputs = torch.randn(4 + 2 + 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    source = LabelledData(inputs[:4], torch.tensor([0, 1, 2, 0]), torch.zeros(4))
    target = LabelledData(inputs[4:6] + 1, torch.tensor([2, 1]), torch.zeros(2)) if with_labels else None
    return Batch(source, target, 2 * inputs[6:] + 1)


# --- the equations' parts, in numpy


def weights_of(strategy: Strategy) -> Weights:
    return {name: value.detach().numpy().copy() for name, value in strategy.named_parameters()}


def linear(weights: Weights, layer: str, inputs: np.ndarray) -> np.ndarray:
    return inputs @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]


def features(weights: Weights, inputs: torch.Tensor) -> np.ndarray:
    return linear(weights, "network.backbone.layer", inputs.numpy())


def logits(weights: Weights, inputs: torch.Tensor) -> np.ndarray:
    return linear(weights, "network.head", features(weights, inputs))


def discriminated(weights: Weights, inputs: np.ndarray) -> np.ndarray:
    """[N, d] → probability [N] of being the source's."""
    for layer in ("discriminator.0", "discriminator.2"):
        inputs = np.maximum(linear(weights, layer, inputs), 0)
    return 1 / (1 + np.exp(-linear(weights, "discriminator.4", inputs)[:, 0]))


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def entropy(scores: np.ndarray) -> np.ndarray:
    return -(softmax(scores) * np.log(softmax(scores))).sum(1)


def cross_entropy(scores: np.ndarray, labels: torch.Tensor) -> float:
    return float(-np.log(softmax(scores)[np.arange(len(scores)), labels.numpy()]).mean())


def supervised(weights: Weights, items: Batch, scores: Callable = logits) -> dict[str, float]:
    terms = {"source": cross_entropy(scores(weights, items.source.inputs), items.source.labels)}
    if items.target:
        terms["target"] = cross_entropy(scores(weights, items.target.inputs), items.target.labels)
    return terms


def assert_gradients(
    strategy: Strategy, objective: Callable[[str, Weights], float], **tolerance: float
) -> None:
    """The gradients that a backward pass has left equal the numerical ones of objective(parameter's name,
    weights)."""
    weights = weights_of(strategy)
    for name, parameter in strategy.named_parameters():
        if not parameter.requires_grad:
            continue
        expected = np.zeros_like(weights[name])
        for place in np.ndindex(expected.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = weights | {name: weights[name].copy()}
                moved[name][place] += step
                sides.append(objective(name, moved))
            expected[place] = (sides[0] - sides[1]) / 2e-6
        found = np.zeros_like(expected) if parameter.grad is None else parameter.grad.numpy()
        np.testing.assert_allclose(found, expected, **{"atol": 1e-7, **tolerance}, err_msg=name)
