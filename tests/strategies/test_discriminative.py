"""Discriminative rates and layer-wise decay: the rate of every layer, as the optimiser has it."""

from functools import partial

import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.backbones.timm import Timm
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.discriminative import Discriminative, LayerDecay
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

RATE = 0.5


def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(MLP((4,), hidden=[16, 16, 16]), classes=3).double()


def taken(make) -> dict[str, torch.Tensor]:
    """What the first step of plain gradient descent took from each parameter."""
    strategy = make(network())
    labels = torch.arange(12) % 3
    inputs = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settings = FitSettings(1, 12, 1, partial(torch.optim.SGD, lr=RATE), "constant", "cpu", "32-true")
    before = {key: parameter.detach().clone() for key, parameter in strategy.named_parameters()}
    fit(strategy.double(), Pools(target=LabelledData(inputs, labels, labels * 0)), {}, settings, (0, "test"))
    return {key: parameter.detach() - before[key] for key, parameter in strategy.named_parameters()}


@pytest.mark.parametrize(
    ("make", "factors"),
    [
        (Discriminative, (1 / 2.6**3, 1 / 2.6**2, 1 / 2.6, 1)),
        (partial(Discriminative, divisor=2.0), (0.125, 0.25, 0.5, 1)),
        (LayerDecay, (0.421875, 0.5625, 0.75, 1)),
        (partial(LayerDecay, decay=1.0), (1, 1, 1, 1)),
    ],
)
def test_every_layer_steps_by_its_share_of_the_heads_rate(make, factors):
    equal, layered = taken(FineTuning), taken(make)
    layers = dict(
        zip(("backbone.layers.0", "backbone.layers.1", "backbone.layers.2", "head"), factors, strict=True)
    )
    for key, step in equal.items():
        assert step.abs().max() > 0
        factor = layers[key.removeprefix("network.").rpartition(".")[0]]
        torch.testing.assert_close(layered[key], step * factor, rtol=1e-9, atol=1e-12)


def test_in_a_transformer_it_is_one_block_a_layer_and_every_parameter_has_a_rate():
    torch.manual_seed(0)
    strategy = LayerDecay(
        Classifier(Timm((1, 32, 32), model="test_vit", model_arguments={"patch_size": 4}), classes=3)
    )
    [groups] = strategy.parameter_groups().values()
    rates = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    named = {name: rates.pop(id(parameter)) for name, parameter in strategy.named_parameters()}
    assert not rates
    blocks = sorted({int(name.split("blocks.")[1].split(".")[0]) for name in named if "blocks." in name})
    for block, above in zip(blocks, reversed(range(1, len(blocks) + 1)), strict=True):
        [rate] = {rate for name, rate in named.items() if f"blocks.{block}." in name}
        assert rate == pytest.approx(0.75**above)
    assert named["network.head.weight"] == 1 and named[
        "network.backbone.model.patch_embed.proj.weight"
    ] == pytest.approx(0.75 ** (len(blocks) + 1))


def test_rates_that_do_not_descend_to_a_number_are_refused():
    with pytest.raises(RequestError, match="strategy.divisor=0.0: a number above 0"):
        Discriminative(network(), 0.0)
    with pytest.raises(RequestError, match="strategy.decay=-1.0: a number above 0"):
        LayerDecay(network(), -1.0)


@pytest.mark.parametrize(("name", "key"), [("discriminative", "divisor"), ("layer_decay", "decay")])
def test_its_rates_change_what_is_trained(finished, name, key):
    layered, equal = finished(f"strategy={name}"), finished(f"strategy={name}", f"strategy.{key}=1")
    assert layered.on_test().tobytes() != equal.on_test().tobytes()
