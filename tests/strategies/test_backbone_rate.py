"""The rate of transferred weights: whose it is, what it does, what it leaves alone."""

from functools import partial

import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.catalog import yamls
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.training import consumption, request
from transferscope.training.checks import strategy_class
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

# of which this backbone has none: they are asked for and not loaded
PRETRAINED = "backbone.weights=pretrained"


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_backbone_rate_scales_the_backbones_step_and_not_the_heads(rate):
    labels = torch.arange(12) % 3
    pools = Pools(
        target=LabelledData(
            torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), labels, labels * 0
        )
    )
    settings = FitSettings(1, 12, 1, partial(torch.optim.SGD, lr=0.5), "constant", "cpu", "32-true")

    def moved(backbone_rate: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        strategy = FineTuning(Classifier(MLP((4,), hidden=[8]), classes=3)).double()
        strategy.backbone_rate = backbone_rate
        before = {key: parameter.detach().clone() for key, parameter in strategy.network.named_parameters()}
        fit(
            strategy,
            Pools(target=pools.target._replace(inputs=pools.target.inputs.double())),
            {},
            settings,
            (0, "test"),
        )
        return {
            key: parameter.detach() - before[key] for key, parameter in strategy.network.named_parameters()
        }

    full, scaled = moved(1.0), moved(rate)
    assert all(step.abs().max() > 0 for step in full.values())
    for key, step in full.items():
        torch.testing.assert_close(
            scaled[key], step * (rate if key.startswith("backbone.") else 1.0), rtol=1e-6, atol=1e-12
        )


@pytest.fixture
def consumed(config):
    return lambda *overrides: request.resolve(config(*overrides)).consumed


def test_it_is_a_tenth_where_weights_were_learnt_elsewhere_and_one_elsewhere(consumed):
    assert consumed("strategy=fine_tuning")["strategy"]["backbone_rate"] == 0.1
    assert (
        consumed("strategy=fine_tuning", "strategy.backbone_rate=0.03")["strategy"]["backbone_rate"] == 0.03
    )
    for strategy in ("scratch", "dann", "source_only", "joint"):  # from random weights
        assert consumed(f"strategy={strategy}") == consumed(
            f"strategy={strategy}", "strategy.backbone_rate=0.1"
        )
        assert "backbone_rate" not in consumed(f"strategy={strategy}")["strategy"]
    assert consumed("strategy=dann", "initialisation=source")["strategy"]["backbone_rate"] == 0.1


def test_the_source_model_of_pretrained_weights_learns_at_it_too(consumed):
    assert "source_backbone_rate" not in consumed("strategy=shot", "label_budget=0")
    assert consumed("strategy=fine_tuning", PRETRAINED)["source_backbone_rate"] == 0.1
    assert consumed("strategy=feature_extraction", PRETRAINED)["source_backbone_rate"] == 0.1
    assert (
        consumed("strategy=fine_tuning", PRETRAINED, "strategy.backbone_rate=0.3")["source_backbone_rate"]
        == 0.3
    )
    assert "source_backbone_rate" not in consumed("strategy=fine_tuning", PRETRAINED, "source=null")
    assert consumed("strategy=source_only", PRETRAINED)["strategy"]["backbone_rate"] == 0.1


def test_a_source_model_at_another_rate_is_another(train, tmp_path, monkeypatch):
    for module in (consumption, request):  # the weights of the tiny network stand in for some
        monkeypatch.setattr(module, "starts_pretrained", lambda c: True)
    kept = lambda: {path.name for path in (tmp_path / ".cache" / "source_models").glob("*.safetensors")}  # noqa: E731
    shared = ("initialisation=pretrained",)
    train("strategy=source_only", *shared, store=tmp_path)
    default = kept()
    train("strategy=fine_tuning", store=tmp_path)
    assert kept() == default  # found, not trained again
    train("strategy=source_only", "strategy.backbone_rate=1", *shared, store=tmp_path)
    assert len(kept()) == 2
    train("strategy=fine_tuning", "strategy.backbone_rate=1", store=tmp_path)
    assert len(kept()) == 2


@pytest.mark.parametrize(
    "name", ["discriminative", "layer_decay", "lora", "adaptive_bn", "feature_extraction", "coral"]
)
def test_what_trains_nothing_at_it_has_no_such_key(config, name):
    assert "backbone_rate" not in config(f"strategy={name}").strategy
    with pytest.raises(
        NotApplicable,
        match=f"strategy.backbone_rate=0.5: {name} trains no transferred weight at the trainer's rate",
    ):
        request.resolve(config(f"strategy={name}", "+strategy.backbone_rate=0.5", "label_budget=5"))


def test_every_yaml_has_the_key_where_it_is_read():
    for name in yamls.names("strategy"):
        yaml = yamls.read(yamls.find("strategy", name))
        strategy = strategy_class(yaml)
        assert (yaml.get("backbone_rate", "none") is None) == strategy.has_backbone_rate(), name


@pytest.mark.parametrize("rate", ["-0.1", "fast", "true", "inf"])
def test_a_rate_that_is_no_number_is_refused(config, rate):
    with pytest.raises(
        RequestError, match="strategy.backbone_rate=.*: a number of at least 0 is needed, or null"
    ):
        request.resolve(config("strategy=fine_tuning", f"strategy.backbone_rate={rate}"))
