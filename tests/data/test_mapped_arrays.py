"""Arrays that stay on disk: the bits of those in memory, whatever asks for them."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from strategies.conftest import CONF
from transferscope.data import arrays, copies, mapped_arrays, splits
from transferscope.data.on_disk import OnDisk
from transferscope.errors import RequestError
from transferscope.store.evaluations import Evaluations
from transferscope.training import feature_cache, request
from transferscope.training.run import run


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    x[7] = x[300]  # a copy
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "y.npz", labels=(x[:, 0] + x[:, 1] > 0).astype(int), price=x[:, 2] * 3 + x[:, 3])
    return tmp_path


def loaded(files, **more):
    return arrays.load("made", str(files / "x.npy"), labels_path=str(files / "y.npz"), **more)


@pytest.fixture
def both(files, monkeypatch):
    """The domain in memory, and on disk."""
    inside = loaded(files)
    monkeypatch.setattr(arrays, "open_matrix", partial(mapped_arrays.open_matrix, in_memory=0))
    return inside, loaded(files)


def test_rows_are_those_in_memory_and_a_part_is_a_view(both):
    inside, outside = both
    assert isinstance(outside.inputs, OnDisk) and outside.inputs.dtype == torch.float32
    assert outside.inputs.shape == inside.inputs.shape and not outside.is_images
    items = np.array([3, 3, 399, 0])
    assert torch.equal(outside.inputs[items], inside.inputs[items])
    assert isinstance(splits.fitted(outside, items, (6,)), OnDisk)
    assert torch.equal(torch.cat(list(outside.inputs.split(150))), inside.inputs)
    counted = [copies.count(domain, (), 0, None) for domain in both]
    assert counted[0] == counted[1]


@pytest.mark.parametrize(
    "strategy", ["scratch", "fine_tuning", "dann", "coral", "boosted_trees", "nearest_neighbours", "delta"]
)
def test_runs_have_the_same_bits(both, tmp_path, monkeypatch, strategy):
    found = []
    for number, domain in enumerate(both):
        names = {"made": domain, "other": replace(domain, name="other")}
        monkeypatch.setattr(request, "load_domain", lambda key, name, *_, names=names: names[name])
        with initialize_config_dir(str(CONF), version_base="1.3"):
            words = ["target=made", "source=other", "backbone=mlp", "backbone.hidden=[8]", "label_budget=10"]
            words += ["trainer.steps=12", "trainer.source_steps=12", "trainer.evaluations=2", "tracking=off"]
            config = compose(
                "config",
                [
                    *words,
                    f"strategy={strategy}",
                    f"store={tmp_path / str(number)}",
                    "trainer.accelerator=cpu",
                ],
            )
        with Evaluations(run(config) / "evaluations.npz") as members:
            found.append({name: members[name].tobytes() for name in members})
    assert found[0] == found[1]


def test_bad_files_are_one_line(files, monkeypatch):
    with pytest.raises(RequestError, match="holds the inputs alone; labels_path is needed"):
        arrays.load("made", str(files / "x.npy"))
    monkeypatch.setattr(arrays, "open_matrix", partial(mapped_arrays.open_matrix, in_memory=0))
    with pytest.raises(RequestError, match="scale=l1: .* stays on disk"):
        loaded(files, scale="l1")
    for array, line in (
        (np.full((4, 2), np.inf), "has inf in row 0, column 0; all values must be finite"),
        (np.zeros(4), "is float64 of shape"),
        (np.array([["a", "b"]]), "allowed: numbers"),
    ):
        np.save(files / "x.npy", array)
        with pytest.raises(RequestError, match=line):
            loaded(files)
    (files / "x.npy").write_bytes(b"no array")
    with pytest.raises(RequestError, match="cannot be read"):
        loaded(files)


@pytest.mark.parametrize("strategy", ["feature_extraction", "logistic_regression", "coral", "lp_ft"])
def test_features_left_in_the_store_are_the_same_bits(tmp_path, monkeypatch, strategy):
    found = []
    for number, most in enumerate((2**28, 0)):
        monkeypatch.setattr(feature_cache, "IN_MEMORY", most)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            words = ["target=handwritten_digits", "source=printed_digits", "backbone=small_cnn"]
            words += ["label_budget=10", "trainer.steps=12", "trainer.source_steps=12", "tracking=off"]
            words += ["trainer.evaluations=2", "trainer.accelerator=cpu", "keep_features=true"]
            config = compose("config", [*words, f"strategy={strategy}", f"store={tmp_path / str(number)}"])
        folder = run(config)
        with Evaluations(folder / "evaluations.npz") as members:
            found.append({name: members[name].tobytes() for name in members})
    assert found[0] == found[1]
