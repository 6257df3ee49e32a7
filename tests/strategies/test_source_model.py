"""The source model that runs share: its result must not depend on which run of a store came first."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.networks.frozen import frozen_features
from transferscope.strategies.source_only import SourceOnly
from transferscope.training import initialise


class Halved(SourceOnly):
    """Another way to learn from the source alone, as methods of domain generalisation are."""

    def losses(self, batch):
        return {
            name: term / 2 - self.logits(batch.source.inputs).mean()
            for name, term in super().losses(batch).items()
        }


@pytest.fixture
def mine(monkeypatch) -> ModuleType:
    """An importable module, as a user's own file is."""
    module = ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)
    return module


def test_it_is_trained_once_a_store(train, tmp_path):
    first = train("strategy=fine_tuning", store=tmp_path)
    second = train("strategy=feature_extraction", store=tmp_path)
    assert first.record["timings"]["source_seconds"] > 0 and second.record["timings"]["source_seconds"] == 0
    assert len(list((tmp_path / ".cache" / "source_models").glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    "key", ["seed=1", "source_label_noise=1", "trainer.source_steps=13", "backbone.hidden=[8]"]
)
def test_another_source_model_for_whatever_it_depends_on(train, tmp_path, key):
    train("strategy=fine_tuning", store=tmp_path)
    train("strategy=fine_tuning", key, store=tmp_path)
    assert len(list((tmp_path / ".cache" / "source_models").glob("*.safetensors"))) == 2


def test_its_labels_are_noisy_where_the_runs_are(finished, train):
    shuffled = train("strategy=fine_tuning", "source_label_noise=1")
    assert shuffled.on_test(0).tobytes() != finished("strategy=fine_tuning").on_test(0).tobytes()


def test_a_transferred_run_is_the_same_after_source_only_as_before_it(finished, train, tmp_path):
    train("strategy=source_only", store=tmp_path)
    assert train("strategy=fine_tuning", store=tmp_path).bits == finished("strategy=fine_tuning").bits


def test_a_twin_leaves_no_source_model(finished, train, tmp_path):
    train("strategy=source_only", "twin=true", store=tmp_path)
    assert train("strategy=fine_tuning", store=tmp_path).bits == finished("strategy=fine_tuning").bits


def test_only_source_only_leaves_a_source_model(finished, train, tmp_path, mine):
    mine.Halved = Halved
    train("strategy=source_only", "strategy._target_=mine.Halved", "strategy.name=halved", store=tmp_path)
    assert train("strategy=fine_tuning", store=tmp_path).bits == finished("strategy=fine_tuning").bits


def test_a_class_of_the_same_name_elsewhere_is_another_run(train, tmp_path, mine):
    mine.SourceOnly = type("SourceOnly", (Halved,), {})
    first = train("strategy=source_only", store=tmp_path)
    assert (
        train("strategy=source_only", "strategy._target_=mine.SourceOnly", store=tmp_path).folder
        != first.folder
    )


def test_a_source_model_that_diverges_makes_the_run_diverged(train, pair):
    source = replace(pair["blobs_shifted"], inputs=torch.full_like(pair["blobs_shifted"].inputs, torch.nan))
    assert (
        train("strategy=fine_tuning", domains=pair | {"blobs_shifted": source}).record["status"] == "diverged"
    )


def test_features_that_other_runs_left_are_those_of_computing_them_anew(train, tmp_path, monkeypatch):
    train("strategy=logistic_regression", "label_budget=5", store=tmp_path)
    train("strategy=nearest_mean", "seed=1", store=tmp_path)
    kept = train("strategy=feature_extraction", store=tmp_path)
    monkeypatch.setattr(initialise, "FrozenFeatures", lambda store: frozen_features)
    assert kept.bits == train("strategy=feature_extraction").bits


def test_a_second_strategy_on_the_same_features_asks_the_backbone_for_no_item(train, tmp_path, monkeypatch):
    train("strategy=feature_extraction", store=tmp_path)
    passed, forward = [], MLP.forward
    monkeypatch.setattr(
        MLP, "forward", lambda self, inputs: passed.append(len(inputs)) or forward(self, inputs)
    )
    assert train("strategy=nearest_mean", store=tmp_path).record["status"] == "done"
    assert passed == [2]  # the noise that a backbone is known by
