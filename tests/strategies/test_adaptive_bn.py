"""AdaBN: the target's statistics, and nothing else that moves."""

import copy
from functools import partial

import pytest
import torch

from transferscope.backbones.lenet import LeNet
from transferscope.backbones.mlp import MLP
from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptive_bn import AdaptiveBN
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings


def adapted(steps: int, batch_size: int, target: torch.Tensor) -> tuple[Classifier, dict]:
    torch.manual_seed(0)
    network = Classifier(MLP((3,), hidden=[4]), classes=2)
    network.train()(torch.randn(50, 3) + 100)  # a source of other statistics
    before = copy.deepcopy(network.state_dict())
    settings = FitSettings(
        steps, batch_size, 2, partial(torch.optim.AdamW, lr=0.1), "constant", "cpu", "32-true"
    )
    fit(AdaptiveBN(network), Pools(unlabelled=target), {}, settings, (0, "test"))
    return network, before


def test_the_statistics_become_those_of_the_whole_target_pool():
    target = (
        torch.randn(64, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 2.0, 5.0]) - 3
    )
    network, _ = adapted(steps=64, batch_size=16, target=target)  # sixteen passes over it
    layer = network.backbone.standardise
    torch.testing.assert_close(layer.running_mean, target.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.running_var, target.var(0), rtol=0.05, atol=0)


def test_no_weight_moves():
    network, before = adapted(steps=4, batch_size=8, target=torch.randn(20, 3))
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {
        f"backbone.standardise.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_the_prediction_before_the_first_step_is_the_source_models(finished):
    adapted, source = finished("strategy=adaptive_bn"), finished("strategy=source_only")
    assert adapted.on_test(0).tobytes() == source.on_test(12).tobytes()


def test_a_backbone_without_batch_normalisation_is_refused():
    with pytest.raises(RequestError, match="strategy=adaptive_bn.*no BatchNorm layer"):
        AdaptiveBN(Classifier(LeNet((1, 16, 16)), classes=3))
