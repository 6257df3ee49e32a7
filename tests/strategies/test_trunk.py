"""A frozen trunk, end to end: applied once an item, left out of what trains, and told apart where it changes
a run."""

import pytest
import torch
from safetensors.torch import load_file

from transferscope.data.domain import fit_images
from transferscope.errors import NotApplicable
from transferscope.training.load import load_run
from transferscope.training.request import load_domain, resolve

PICTURES = ("target=handwritten_digits", "source=handwritten_digits_rotated", "image_size=32",
    "label_budget=2", "~backbone.hidden",
            "backbone._target_=transferscope.backbones.timm.Timm", "backbone.name=test_resnet",
            "+backbone.model=test_resnet", "backbone.weights=random")  # fmt: skip
TRUNK = (*PICTURES, "+backbone.trunk=layer2")


@pytest.mark.parametrize("strategy", ["fine_tuning", "feature_extraction", "dann"])
def test_the_trunk_is_that_of_the_source_model_and_the_rest_is_trained(train, tmp_path, strategy):
    start = ["initialisation=source"] if strategy == "dann" else []
    run = train(*TRUNK, f"strategy={strategy}", "keep=selected", *start, store=tmp_path)
    [source] = (tmp_path / ".cache" / "source_models").glob("*.safetensors")
    before, after = load_file(source), load_file(run.folder / "model.safetensors")
    for name, value in before.items():
        is_kept = (
            name.startswith("backbone.lower.")
            or strategy == "feature_extraction"
            and name.startswith("backbone.")
        )
        assert torch.equal(after[f"network.{name}"], value) == is_kept or "num_batches" in name, name
    loaded, domain = load_run(run.folder), load_domain("target", "handwritten_digits", "data")
    place = {item: number for number, item in enumerate(domain.ids)}
    chosen = [place[item] for item in run.members["handwritten_digits/test/ids"][:40]]
    predicted = loaded.predict(fit_images(domain.inputs[chosen], 32, 1))
    expected = run.members["handwritten_digits/test/outputs/000012"][:40]
    torch.testing.assert_close(predicted.numpy(), expected, rtol=0, atol=1e-5)


def test_a_second_run_finds_in_the_store_what_the_trunk_gave(train, tmp_path):
    train(*TRUNK, "strategy=fine_tuning", store=tmp_path)
    second = ("strategy=l2_sp",)
    assert train(*TRUNK, *second, store=tmp_path).bits == train(*TRUNK, *second).bits


def test_scratch_trains_all_of_it_and_is_one_run_with_and_without(config):
    assert (
        resolve(config(*TRUNK, "strategy=scratch")).fingerprint
        == resolve(config(*PICTURES, "strategy=scratch")).fingerprint
    )
    assert (
        resolve(config(*TRUNK, "strategy=fine_tuning")).fingerprint
        != resolve(config(*PICTURES, "strategy=fine_tuning")).fingerprint
    )
    layouts = [resolve(config(*way, "strategy=source_only")).fingerprint for way in (TRUNK, PICTURES)]
    assert layouts[0] != layouts[1]  # its weights are handed on, in layers of another arrangement


def test_pictures_behind_a_frozen_trunk_cannot_be_augmented(config):
    with pytest.raises(
        NotApplicable, match="trainer.augmentation=crop: what backbone.trunk=layer2 gives is computed once"
    ):
        resolve(config(*TRUNK, "strategy=fine_tuning", "trainer.augmentation=crop"))
    resolve(config(*TRUNK, "strategy=scratch", "trainer.augmentation=crop"))
