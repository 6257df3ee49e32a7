"""SAR: its filter, its push and its gradient in numpy; what the radius and the threshold turn off."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.sar import SAR
from transferscope.strategies.tent import Tent
from transferscope.training.request import resolve

MOVED = ("network.backbone.norm.weight", "network.backbone.norm.bias")


def strategy_of(kind: type[Tent], **arguments: float) -> Tent:
    torch.manual_seed(0)
    network = Classifier(tiny.Normalised(), classes=3)
    network.head.weight.data *= 3  # so that some predictions are sure
    return tiny.ready(kind(network, **arguments))


def entropies(weights: tiny.Weights, inputs: torch.Tensor) -> np.ndarray:
    f = tiny.features(weights, inputs)
    f = (f - f.mean(1, keepdims=True)) / np.sqrt(f.var(1, keepdims=True) + 1e-5)
    return tiny.entropy(tiny.linear(weights, "network.head", f * weights[MOVED[0]] + weights[MOVED[1]]))


def gradient(weights: tiny.Weights, inputs: torch.Tensor, passes: np.ndarray) -> tiny.Weights:
    """Of the mean entropy of the items that pass, by central differences."""
    found = {name: np.zeros(2) for name in MOVED}
    for name in MOVED:
        for place in range(2):
            sides = []
            for step in (1e-6, -1e-6):
                moved = weights | {name: weights[name].copy()}
                moved[name][place] += step
                sides.append(entropies(moved, inputs)[passes].mean())
            found[name][place] = (sides[0] - sides[1]) / 2e-6
    return found


def pushed(weights: tiny.Weights, inputs: torch.Tensor, passes: np.ndarray, radius: float) -> tiny.Weights:
    """w + ρ g / |g|"""
    g = gradient(weights, inputs, passes)
    length = np.sqrt(sum((part**2).sum() for part in g.values()))
    return weights | {name: weights[name] + radius * part / length for name, part in g.items()}


def step(strategy: Tent, inputs: torch.Tensor) -> float:
    """The loss of one step whose gradients are left where they are."""
    ((_, terms),) = strategy.updates(Batch(None, None, inputs))
    strategy.backward(terms)
    return terms["entropy"].item()


@pytest.mark.parametrize("radius", [0.05, 0.5])
def test_loss_and_gradient_are_those_of_the_pushed_weights_and_of_the_sure_items_and_the_weights_are_back(
    radius,
):
    inputs = tiny.batch().unlabelled
    found = entropies(tiny.weights_of(strategy_of(SAR)), inputs)
    middle = (found.min() + found.max()) / 2
    strategy, passes = strategy_of(SAR, threshold=middle / np.log(3), radius=radius), found < middle
    start = tiny.weights_of(strategy)
    assert 0 < passes.sum() < len(passes)
    there = pushed(start, inputs, passes, radius)
    assert step(strategy, inputs) == pytest.approx(entropies(there, inputs)[passes].mean(), rel=1e-6)
    for name, parameter in strategy.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), start[name])
        if name in MOVED:
            np.testing.assert_allclose(
                parameter.grad.numpy(), gradient(there, inputs, passes)[name], atol=1e-6
            )


def test_without_push_and_filter_it_is_tent():
    inputs = tiny.batch().unlabelled
    sar, tent = strategy_of(SAR, threshold=2.0, radius=0.0), strategy_of(Tent)
    assert step(sar, inputs) == pytest.approx(step(tent, inputs), rel=1e-12)
    for ours, theirs in zip(sar.parameters(), tent.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_where_no_item_is_sure_there_is_nothing_to_learn():
    strategy = strategy_of(SAR, threshold=1e-6)
    assert step(strategy, tiny.batch().unlabelled) == 0
    assert all(not weight.grad.any() for weight in strategy.parameters() if weight.requires_grad)


def test_the_filter_and_the_push_change_what_is_trained(finished):
    keys = [(2, 0), (0.99, 0), (2, 0.5)]
    runs = [
        finished("strategy=sar", f"strategy.threshold={threshold}", f"strategy.radius={radius}")
        for threshold, radius in keys
    ]
    assert len({run.on_test().tobytes() for run in runs}) == 3


@pytest.mark.parametrize("value", ["threshold=0", "radius=-1"])
def test_values_that_are_none_are_refused(config, value):
    with pytest.raises(RequestError, match="above 0, and at least 0, are needed"):
        resolve(config("strategy=sar", f"strategy.{value}"))
