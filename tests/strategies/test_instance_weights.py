"""Instance weights: those of a shift whose density ratio is known, the weighted loss by hand, and joint
training where all are 1."""

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny_adaptation as tiny
from transferscope.backbones.base import Backbone
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.instance_weights import InstanceWeights


class AsTheyAre(Backbone):
    def __init__(self, features: int):
        super().__init__()
        self.features = features

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def fitted(source: Tensor, target: Tensor, **arguments) -> InstanceWeights:
    strategy = InstanceWeights(Classifier(AsTheyAre(source.shape[1]), classes=3), **arguments)
    labels = torch.arange(len(source)) % 3
    strategy.fit_features(Pools(source=LabelledData(source, labels, labels * 0), unlabelled=target))
    return strategy


def test_weights_are_the_density_ratio_of_two_normal_distributions():
    """N(1, 1) over N(0, 1) is exp(x - 1/2), however many items either domain has."""
    draw = torch.Generator().manual_seed(0)
    source, target = torch.randn(20_000, 1, generator=draw), 1 + torch.randn(5_000, 1, generator=draw)
    weights = fitted(source, target, largest=1e6).weights(torch.tensor([[-1.0], [0.0], [0.5], [1.0], [2.0]]))
    np.testing.assert_allclose(weights, np.exp([-1.5, -0.5, 0.0, 0.5, 1.5]), rtol=0.1)


def test_they_have_mean_one_before_the_largest_are_cut():
    draw = torch.Generator().manual_seed(0)
    source, target = torch.randn(300, 2, generator=draw), 1 + torch.randn(200, 2, generator=draw)
    free, cut = (fitted(source, target, largest=largest).weights(source) for largest in (1e6, 2.0))
    assert free.mean() == pytest.approx(1, rel=1e-5) and free.max() > 2
    torch.testing.assert_close(cut, free.clamp(max=2))


def test_the_source_term_is_weighted_by_hand():
    strategy = tiny.ready(InstanceWeights(tiny.network(), source_weight=0.5))
    strategy.direction.copy_(torch.tensor([0.3, -0.2]))
    strategy.offset.fill_(0.1)
    items, weights = tiny.batch(with_labels=True), tiny.weights_of(strategy)
    w = np.exp(tiny.features(weights, items.source.inputs) @ [0.3, -0.2] + 0.1)
    p = tiny.softmax(tiny.logits(weights, items.source.inputs))[np.arange(4), items.source.labels.numpy()]
    expected = {
        "source": 0.5 * float((w * -np.log(p)).mean()),
        "target": tiny.supervised(weights, items)["target"],
    }
    assert {name: term.item() for name, term in strategy.losses(items).items()} == pytest.approx(
        expected, rel=1e-9
    )


def test_weights_stay_as_they_were_while_the_network_trains():
    strategy = tiny.ready(InstanceWeights(tiny.network()))
    strategy.direction.fill_(1.0)
    before = strategy.weights(tiny.batch().source.inputs)
    with torch.no_grad():
        strategy.network.backbone.layer.weight.add_(1)
    assert torch.equal(strategy.weights(tiny.batch().source.inputs), before)


def test_the_weights_change_what_is_trained(finished):
    """largest=1 cuts what is over the mean; source_weight=0 leaves the target alone."""
    outcomes = [finished("strategy=instance_weights", *other).on_test().tobytes()
                for other in ((), ("strategy.largest=1",), ("strategy.source_weight=0",))]  # fmt: skip
    assert len(set(outcomes)) == 3


def test_a_largest_weight_below_the_mean_is_refused():
    with pytest.raises(ValueError, match="strategy.largest=0.5: at least 1 is needed"):
        InstanceWeights(tiny.network(), largest=0.5)
