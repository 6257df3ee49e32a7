"""Fine-tuning: what it starts from and how fast each part moves."""

from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from transferscope import request as requests
from transferscope.backbones.mlp import MLP
from transferscope.data import shifted_blobs
from transferscope.data.splits import Labelled, Pools
from transferscope.networks.classifier import Classifier
from transferscope.run import build
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.training import Settings, fit


def built(config, store, *overrides):
    """The strategy before its first step, and the weights of the one source model in the store."""
    request = requests.resolve(config("strategy=fine_tuning", f"store={store}", *overrides))
    strategy, _ = build(request, request.task())
    [weights] = (store / ".cache" / "source_models").glob("*.safetensors")
    return strategy, load_file(weights)


def test_it_starts_from_the_source_model_with_its_head_where_classes_are_shared(config, tmp_path):
    strategy, source = built(config, tmp_path)
    state = strategy.network.state_dict()
    assert state.keys() == source.keys() and all(torch.equal(state[key], source[key]) for key in source)


def test_it_starts_with_a_fresh_head_where_classes_differ(config, tmp_path, pair, monkeypatch):
    other = shifted_blobs.load("blobs_shifted", classes=4, draw=1)
    monkeypatch.setattr(requests, "load_domain", lambda key, name, *_: {"blobs": pair["blobs"], "blobs_shifted": other}[name])
    strategy, source = built(config, tmp_path)
    state = strategy.network.state_dict()
    assert source["head.weight"].shape == (4, 16) and state["head.weight"].shape == (3, 16)
    assert all(torch.equal(state[key], source[key]) for key in source if key.startswith("backbone."))
    rows = state["head.weight"][:, None] - source["head.weight"]  # [3, 4, 16]: no row is one of the source's
    assert rows.abs().amax(2).min() > 0 and state["head.weight"].std() > 0


def test_before_its_first_step_it_predicts_what_the_source_model_does(train, tmp_path):
    source = train("strategy=source_only", store=tmp_path)
    assert train("strategy=fine_tuning", store=tmp_path).on_test(0).tobytes() == source.on_test(12).tobytes()


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_backbone_rate_scales_the_backbones_step_and_not_the_heads(rate):
    labels = torch.arange(12) % 3
    pools = Pools(target=Labelled(torch.randn(12, 4, generator=torch.Generator().manual_seed(0)), labels, labels * 0))
    settings = Settings(1, 12, 1, partial(torch.optim.SGD, lr=0.5), "constant", "cpu", "32-true")

    def moved(backbone_rate: float) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        strategy = FineTuning(Classifier(MLP((4,), hidden=[8]), classes=3), backbone_rate).double()
        before = {key: parameter.detach().clone() for key, parameter in strategy.network.named_parameters()}
        fit(strategy, Pools(target=pools.target._replace(inputs=pools.target.inputs.double())), {}, settings, (0, "test"))
        return {key: parameter.detach() - before[key] for key, parameter in strategy.network.named_parameters()}

    full, scaled = moved(1.0), moved(rate)
    assert all(step.abs().max() > 0 for step in full.values())
    for key, step in full.items():
        torch.testing.assert_close(scaled[key], step * (rate if key.startswith("backbone.") else 1.0), rtol=1e-6, atol=1e-12)


def test_backbone_rate_changes_what_is_trained(finished):
    equal, slower = finished("strategy=fine_tuning"), finished("strategy=fine_tuning", "strategy.backbone_rate=0.1")
    assert equal.on_test().tobytes() != slower.on_test().tobytes()
