"""A strategy that cannot work with a network says so before anything is trained, in a sweep as a cell that
does not apply."""

import json

import pytest

from transferscope.cli.main import main
from transferscope.errors import NotApplicable, RequestError
from transferscope.training.request import resolve

DIGITS = ("target=handwritten_digits", "source=printed_digits")


def backbone(path: str, *more: str) -> tuple[str, ...]:
    return (f"backbone._target_=transferscope.backbones.{path}", "~backbone.hidden", *more)


SMALL_CNN, LENET = backbone("small_cnn.SmallCNN"), backbone("lenet.LeNet")
RESNET, VIT = (
    backbone("timm.Timm", f"+backbone.model={model}", "image_size=32")
    for model in ("test_resnet", "test_vit")
)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ("strategy=last_groups", "strategy.groups=4", *SMALL_CNN, "image_size=16"),
            "strategy.groups=4: the backbone has 3 layer groups",
        ),
        (
            ("strategy=lora", *SMALL_CNN, "image_size=16"),
            "strategy=lora: the backbone has no linear layer to adapt; use one that has",
        ),
        (("strategy=lora", *RESNET), "strategy=lora: the backbone has no linear layer"),
        (
            ("strategy=tent", *LENET, "image_size=16"),
            "strategy=tent: the backbone has no normalisation layer",
        ),
        (("strategy=adaptive_bn", *VIT), "strategy=adaptive_bn: the backbone has no BatchNorm layer"),
        (
            ("strategy=fine_tuning", *LENET, "image_size=8"),
            "backbone=lenet: takes images of 16 pixels or more",
        ),
        (("strategy=fine_tuning",), "backbone=mlp: takes arrays (d,)"),
    ],
)
def test_what_does_not_go_together_is_not_applicable_in_one_line(config, overrides, expected):
    with pytest.raises(NotApplicable) as refusal:
        resolve(config(*DIGITS, *overrides))
    assert str(refusal.value).startswith(expected) and "\n" not in str(refusal.value)


def test_what_goes_together_is_not_refused(config):
    assert resolve(config(*DIGITS, "strategy=lora", *VIT)) and resolve(config("strategy=lora"))


@pytest.mark.parametrize(
    "value",
    ["strategy=lp_ft strategy.probe_share=2", "strategy=bss strategy.k=0", "strategy=lora strategy.rank=0"],
)
def test_a_value_that_no_network_could_serve_is_refused(config, value):
    with pytest.raises(RequestError, match=value.split()[1] + ": ") as refusal:
        resolve(config(*value.split()))
    assert not isinstance(refusal.value, NotApplicable)


def test_a_sweep_lists_the_cell_and_trains_the_others(tmp_path, capsys):
    common = [
        "target=blobs",
        "source=blobs_shifted",
        "backbone=mlp",
        "trainer.steps=4",
        "trainer.source_steps=4",
        "trainer.evaluations=1",
    ]
    common += ["tracking=off", "trainer.accelerator=cpu", f"store={tmp_path}", "sweep=it"]
    assert main(["run", "-m", *common, "strategy=last_groups", "strategy.groups=2,3"]) == 0
    jobs = json.loads((tmp_path / "sweeps" / "it" / "plan.json").read_text())["jobs"]
    assert [job["status"] for job in jobs] == ["planned", "not_applicable"]
    assert jobs[1]["reason"] == (
        "strategy.groups=3: the backbone has 2 layer groups (layers.0, layers.1); give 0 to 2 (backbone=mlp)"
    )
    assert len(list(tmp_path.glob("*/record.json"))) == 1
