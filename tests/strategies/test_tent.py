"""Tent: its entropy, and that scales, shifts and statistics of normalisation layers are all that moves."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import tiny_adaptation as tiny
from transferscope.backbones.lenet import LeNet
from transferscope.backbones.mlp import MLP
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.tent import Tent
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

SETTINGS = FitSettings(6, 8, 2, partial(torch.optim.AdamW, lr=0.1), "constant", "cpu", "32-true")


def test_the_loss_is_the_entropy_and_its_gradient_goes_to_scale_and_shift_alone():
    torch.manual_seed(0)
    strategy, items = tiny.ready(Tent(Classifier(tiny.Normalised(), classes=3))), tiny.batch()
    start = tiny.weights_of(strategy)

    def expected(weights):
        f = tiny.features(weights, items.unlabelled)
        f = (f - f.mean(1, keepdims=True)) / np.sqrt(f.var(1, keepdims=True) + 1e-5)
        f = f * weights["network.backbone.norm.weight"] + weights["network.backbone.norm.bias"]
        return float(tiny.entropy(tiny.linear(weights, "network.head", f)).mean())

    terms = strategy.losses(Batch(None, None, items.unlabelled))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"entropy": expected(start)}, rel=1e-9
    )
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda name, weights: expected(weights))
    reached = {name for name, parameter in strategy.named_parameters() if parameter.grad is not None}
    assert reached == {"network.backbone.norm.weight", "network.backbone.norm.bias"}


@pytest.mark.parametrize("backbone", [MLP((4,), hidden=[6]), SmallCNN((1, 8, 8))], ids=["mlp", "small_cnn"])
def test_normalisation_layers_are_all_that_moves(backbone):
    torch.manual_seed(0)
    strategy = Tent(Classifier(backbone, classes=3))
    before = copy.deepcopy(strategy.network.state_dict())
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    inputs = images if isinstance(backbone, SmallCNN) else torch.randn(20, 4)
    fit(strategy, Pools(unlabelled=inputs), {}, SETTINGS, (0, "test"))
    norms = [
        name
        for name, layer in strategy.network.named_modules()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    moved = {
        name for name, value in strategy.network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {f"{norm}.{kind}" for norm in norms for kind in kinds}


def test_scale_and_shift_that_it_adds_leave_the_source_model_as_it_is():
    torch.manual_seed(0)
    network, inputs = Classifier(MLP((4,), hidden=[6]), classes=3), torch.randn(5, 4)
    before = network.eval()(inputs)
    torch.testing.assert_close(Tent(network).eval().logits(inputs), before)


def test_a_backbone_without_normalisation_is_refused():
    with pytest.raises(RequestError, match="strategy=tent.*no normalisation layer"):
        Tent(Classifier(LeNet((1, 16, 16)), classes=3))


def test_unlabelled_test_items_reach_it_where_the_protocol_says_so(finished):
    inductive, transductive = finished("strategy=tent"), finished("strategy=tent", "protocol=transductive")
    assert inductive.record["result"]["samples"]["target_unlabelled"] == 150
    assert transductive.record["result"]["samples"]["target_unlabelled"] == 300
    assert inductive.record["sees"] == ["source_inputs", "source_labels", "target_inputs"]
