"""Domains as published tables have them: all items are the source's, or all are tested on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from transferscope.data import splits
from transferscope.data.arrays import load
from transferscope.data.domain import UNLABELLED, Domain
from transferscope.errors import NotApplicable, RequestError
from transferscope.training import request
from transferscope.training.run import run

CONF = Path(__file__).parents[2] / "conf"
SEES = frozenset({"source_inputs", "source_labels", "target_inputs"})


@pytest.fixture
def pair(tmp_path) -> dict[str, Domain]:
    draw = np.random.default_rng(0)
    domains = {}
    for name in ("one", "other"):
        np.savez(
            tmp_path / f"{name}.npz",
            inputs=draw.normal(size=(40, 4)) + np.arange(40)[:, None] % 2,
            labels=np.arange(40) % 2,
        )
        domains[name] = load(name, str(tmp_path / f"{name}.npz"), whole=True)
    return domains


def prepared(pair: dict[str, Domain], protocol: str = "transductive") -> splits.RunData:
    return splits.prepare(pair["other"], (pair["one"],), SEES, 0, seed=0, split_seed=0, protocol=protocol)


def test_all_of_the_source_is_trained_on_and_all_of_the_target_tested_on(pair):
    run_data = prepared(pair)
    assert run_data.samples == {"source": 40, "target_labelled": 0, "target_val": 0, "target_unlabelled": 40}
    assert list(run_data.evaluated) == ["other/test"] and len(run_data.evaluated["other/test"].labels) == 40
    assert run_data.validator_inputs is None


def test_items_without_a_label_are_not_tested_on(pair):
    labels = pair["other"].labels.clone()
    labels[:7] = UNLABELLED
    run_data = prepared(pair | {"other": replace(pair["other"], labels=labels)}, "inductive")
    assert run_data.samples["target_unlabelled"] == 7 and len(run_data.evaluated["other/test"].labels) == 33


def test_it_is_part_of_what_a_run_consumes(pair):
    assert pair["one"].digest != replace(pair["one"], whole=False).digest
    assert torch.equal(pair["one"].inputs, replace(pair["one"], whole=False).inputs)


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        keys = [
            "target=other",
            "source=one",
            "backbone=identity",
            "trainer.steps=1",
            "trainer.evaluations=1",
            "tracking=off",
        ]
        return compose("config", overrides=[*keys, *overrides])


def test_there_is_nothing_to_adapt_on_but_the_test_inputs(pair, monkeypatch, tmp_path):
    monkeypatch.setattr(request, "load_domain", lambda key, name, *_: pair[name])
    with pytest.raises(
        NotApplicable,
        match=(
            "protocol=inductive: all labelled items of target other are tested on; give protocol=transductive"
        ),
    ):
        request.resolve(composed("strategy=coral", "label_budget=0"))
    with pytest.raises(RequestError, match="no labelled training item"):
        request.resolve(composed("strategy=coral", "label_budget=2", "protocol=transductive"))
    folder = run(composed("strategy=coral", "label_budget=0", "protocol=transductive", f"store={tmp_path}"))
    with np.load(folder / "evaluations.npz") as members:
        assert len(members["other/test/ids"]) == 40


def test_arrays_alone_can_do_without_a_backbone():
    with pytest.raises(NotApplicable, match="backbone=identity: takes arrays"):
        request.resolve(
            composed(
                "strategy=source_only", "target=handwritten_digits", "source=printed_digits", "label_budget=0"
            )
        )
