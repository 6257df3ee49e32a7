"""Layers on top of features of texts: what is below them stays, is computed once, and is no part of what
trains."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_encoders import TEXTS, encoder
from tiny_texts import pair, trained
from transferscope.backbones import transformer
from transferscope.backbones.base import Backbone
from transferscope.backbones.transformer import Transformer
from transferscope.backbones.word_vectors import WordVectors
from transferscope.errors import NotApplicable
from transferscope.store.record import read_record
from transferscope.training.load import load_run


def vectors(folder: Path) -> str:
    path = folder / "vectors.txt"
    words = ("good", "bad", "so", "and", "or", "a", "plain", "one")
    path.write_text("".join(f"{word} {n} {n % 3} {-n}\n" for n, word in enumerate(words)))
    return str(path)


@pytest.fixture(params=["transformer", "word_vectors"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[type[Backbone], dict[str, object]]:
    if request.param == "transformer":
        return Transformer, {"model": encoder(tmp_path / "bert"), "max_tokens": 32}
    return WordVectors, {"vectors": vectors(tmp_path), "max_tokens": 32}


def test_what_is_below_is_frozen_and_gives_what_it_gives_alone(given):
    kind, arguments = given
    rows = kind.reader(**arguments).read([(text,) for text in TEXTS]).rows(np.arange(len(TEXTS)))
    alone = kind((32,), **arguments, weights="pretrained").eval()
    layered = kind((32,), **arguments, weights="pretrained", hidden=[5, 3])
    assert layered.trunk is None and layered.features == 3
    every = {id(parameter) for parameter in layered.parameters()}
    assert {id(p) for _, group in layered.layer_groups() for p in group} == every
    layered.freeze_trunk()
    layered.train()
    with torch.no_grad():
        below = layered.trunk(rows)
        assert torch.equal(below, alone(rows))
        assert torch.equal(layered.eval()(rows), layered(below))
    labels, groups = zip(*layered.layer_groups(), strict=True)
    assert labels == ("layers.0", "layers.1")
    trained = {id(parameter) for parameter in layered.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for group in groups for parameter in group}
    assert set(layered.trunk.state_dict()) == set(alone.state_dict())


@pytest.mark.parametrize("strategy", ["joint", "fine_tuning"])
def test_a_run_trains_the_layers_alone_and_computes_what_is_below_once(strategy, tmp_path, monkeypatch):
    passed = []
    forward = transformer.Transformer.encode

    def counted(self, inputs):
        passed.append(len(inputs))
        return forward(self, inputs)

    monkeypatch.setattr(transformer.Transformer, "encode", counted)
    words = ["backbone=transformer", f"backbone.model={encoder(tmp_path / 'bert')}", "backbone.max_tokens=16",
        "backbone.weights=pretrained", "backbone.hidden=[8]", "label_budget=5", "keep=selected",
        f"strategy={strategy}"]  # fmt: skip
    store = tmp_path / "store"
    first = trained(*words, store=store)
    kept = load_run(first).strategy.network.backbone
    own = Transformer((16,), str(tmp_path / "bert"), "pretrained", max_tokens=16)
    for key, value in own.model.state_dict().items():
        assert torch.equal(value, kept.model.state_dict()[key]), key
    assert read_record(first)["status"] in ("done", "collapsed")
    if strategy == "joint":  # what is below is the model as it came, whose features a head alone wants too
        alone = [word for word in words if "hidden" not in word and "strategy" not in word]
        trained(*words, "seed=1", store=store)
        once = len(passed)
        trained(*alone, "strategy=logistic_regression", "source=null", store=store)
        assert sum(passed[once:]) <= 4  # noise, to know the backbone by


def test_a_linear_head_on_layers_that_nothing_trained_is_refused(tmp_path):
    words = ["backbone=word_vectors", f"backbone.vectors={vectors(tmp_path)}", "backbone.hidden=[4]"]
    with pytest.raises(NotApplicable) as refusal:
        trained(*words, "strategy=logistic_regression", "source=null", store=tmp_path / "store")
    assert "backbone.hidden=[4]: strategy logistic_regression trains the head alone" in str(refusal.value)
    trained(*words, "strategy=logistic_regression", "label_budget=3", store=tmp_path / "store")


def test_terms_through_layers_are_the_same_rows(tmp_path):
    words = [
        "backbone=tfidf_mlp",
        "backbone.most_terms=20",
        "strategy=dann",
        "label_budget=0",
        "keep=selected",
    ]
    folder = trained(*words, store=tmp_path / "store", domains=pair())
    assert read_record(folder)["status"] in ("done", "collapsed")
    kept = load_run(folder)
    assert kept.predict(["good here so", "bad here so"]).shape == (2, 2)
