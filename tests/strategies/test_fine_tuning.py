"""Fine-tuning: what it starts from and how fast each part moves."""

import torch
from safetensors.torch import load_file

from transferscope.data import shifted_blobs
from transferscope.training import request as requests
from transferscope.training.run import build


def built(config, store, *overrides):
    """The strategy before its first step, and the weights of the one source model in the store."""
    request = requests.resolve(config("strategy=fine_tuning", f"store={store}", *overrides))
    strategy, _ = build(request, request.run_data())
    [weights] = (store / ".cache" / "source_models").glob("*.safetensors")
    return strategy, load_file(weights)


def test_it_starts_from_the_source_model_with_its_head_where_classes_are_shared(config, tmp_path):
    strategy, source = built(config, tmp_path)
    state = strategy.network.state_dict()
    assert state.keys() == source.keys() and all(torch.equal(state[key], source[key]) for key in source)


def test_it_starts_with_a_fresh_head_where_classes_differ(config, tmp_path, pair, monkeypatch):
    other = shifted_blobs.load("blobs_shifted", classes=4, draw=1)
    monkeypatch.setattr(
        requests, "load_domain", lambda key, name, *_: {"blobs": pair["blobs"], "blobs_shifted": other}[name]
    )
    strategy, source = built(config, tmp_path)
    state = strategy.network.state_dict()
    assert source["head.weight"].shape == (4, 16) and state["head.weight"].shape == (3, 16)
    assert all(torch.equal(state[key], source[key]) for key in source if key.startswith("backbone."))
    rows = state["head.weight"][:, None] - source["head.weight"]  # [3, 4, 16]: no row is one of the source's
    assert rows.abs().amax(2).min() > 0 and state["head.weight"].std() > 0


def test_before_its_first_step_it_predicts_what_the_source_model_does(train, tmp_path):
    source = train("strategy=source_only", store=tmp_path)
    assert train("strategy=fine_tuning", store=tmp_path).on_test(0).tobytes() == source.on_test(12).tobytes()
