"""Feature extraction: the backbone stays as it is, the head is that of a linear model on features computed
beforehand."""

import copy
from functools import partial

import torch
from torch.nn.functional import cross_entropy

from transferscope.backbones.small_cnn import SmallCNN
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

STEPS = 20


def images() -> LabelledData:
    draw = torch.Generator().manual_seed(0)
    return LabelledData(
        torch.randint(0, 256, (12, 1, 8, 8), generator=draw, dtype=torch.uint8),
        torch.arange(12) % 3,
        torch.zeros(12),
    )


def network() -> Classifier:
    """With statistics of normalisation that are not those of the pool."""
    torch.manual_seed(0)
    network = Classifier(SmallCNN((1, 8, 8)), classes=3)
    network.backbone(torch.randint(0, 64, (50, 1, 8, 8), dtype=torch.uint8))
    return network


def trained(net: Classifier) -> None:
    settings = FitSettings(STEPS, 12, 2, partial(torch.optim.AdamW, lr=0.05), "constant", "cpu", "32-true")
    fit(FeatureExtraction(net), Pools(target=images()), {}, settings, (0, "test"))


def test_the_backbone_and_its_statistics_stay_untouched():
    net = network()
    before = copy.deepcopy(net.backbone.state_dict())
    trained(net)
    assert any("running_mean" in key for key in before)
    assert all(torch.equal(value, before[key]) for key, value in net.backbone.state_dict().items())


def test_the_head_is_that_of_training_on_features_computed_beforehand():
    net, reference = network(), network()
    trained(net)
    pool = images()
    with torch.no_grad():
        features = reference.backbone.eval()(pool.inputs)  # [12, 64]
    optimizer = torch.optim.AdamW(reference.head.parameters(), lr=0.05)
    for _ in range(STEPS):  # a batch is the whole pool
        optimizer.zero_grad()
        cross_entropy(reference.head(features), pool.labels).backward()
        optimizer.step()
    torch.testing.assert_close(net.head.weight, reference.head.weight, rtol=0, atol=1e-4)
    assert (net.head.weight - network().head.weight).abs().max() > 0.1


def test_predictions_are_the_head_on_the_frozen_features():
    net = network()
    strategy, pool = FeatureExtraction(net), images()
    expected = net.eval()(pool.inputs).softmax(1)
    torch.testing.assert_close(strategy.predictions(strategy.precompute(pool.inputs)), expected)
