"""timm's families as backbones: features, groups, weights, refusals."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from transferscope.backbones.timm import Timm
from transferscope.errors import RequestError

DATA_ROOT = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
IMAGES = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
UNTRAINED = "ghostnet_050"  # timm offers no weights for it
FAMILIES = {  # model: (width of its features, first and last group)
    "test_resnet": (96, "conv1+bn1", "layer4.0"),
    "test_vit": (64, "cls_token+pos_embed+patch_embed.proj", "blocks.5+norm"),
    "test_convnext": (64, "stem", "head.norm"),
    "test_efficientnet": (256, "conv_stem+bn1", "blocks.4.0+conv_head+bn2"),
    "lcnet_050": (1280, "conv_stem+bn1", "conv_head"),
    "mobilenetv3_small_050": (1024, "conv_stem+bn1", "conv_head"),
    "densenet121": (1024, "features:0", "features.norm5"),
    "pit_ti_224": (256, "pos_embed", "norm"),  # no groups of timm's own
}


@pytest.mark.parametrize("model", FAMILIES)
def test_families(model: str):
    width, first, last = FAMILIES[model]
    backbone = Timm((3, 32, 32), model=model)
    features = backbone(IMAGES)
    assert features.shape == (4, width) and backbone.features == width
    features.square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    groups = backbone.layer_groups()
    labels = [label for label, _ in groups]
    assert (labels[0], labels[-1]) == (first, last) and len(set(labels)) == len(labels)
    grouped = [id(parameter) for _, parameters in groups for parameter in parameters]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())


@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 32, 32), (3, 48, 32)])
@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_other_channels_and_sizes(model: str, shape: tuple[int, ...]):
    backbone = Timm(shape, model=model, model_arguments={"patch_size": 4} if model == "test_vit" else {})
    assert backbone(torch.zeros(2, *shape, dtype=torch.uint8)).shape == (2, backbone.features)


def test_images_are_normalised_as_timm_notes_for_the_model():
    backbone = Timm((3, 32, 32), model="lcnet_050")
    inputs = []
    backbone.model.conv_stem.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    backbone(torch.full((2, 3, 32, 32), 255, dtype=torch.uint8))
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])  # ImageNet's
    torch.testing.assert_close(inputs[0][0, :, 0, 0], expected)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A file as timm publishes them: three channels, a classifier of 1000 classes."""
    torch.manual_seed(7)
    path = tmp_path / "trained.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def test_weights_of_a_file_arrive(trained: Path):
    state = load_file(trained)
    backbone = Timm((3, 32, 32), model="test_resnet", weights=str(trained))
    for key, value in backbone.model.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert not torch.equal(
        Timm((3, 32, 32), model="test_resnet").model.conv1[0].weight, state["conv1.0.weight"]
    )


def test_weights_of_a_pth_file_arrive(trained: Path, tmp_path: Path):
    torch.save({"state_dict": load_file(trained)}, tmp_path / "trained.pth")
    backbone = Timm((3, 32, 32), model="test_resnet", weights=str(tmp_path / "trained.pth"))
    assert torch.equal(backbone.model.conv1[0].weight, load_file(trained)["conv1.0.weight"])


def test_weights_for_colour_are_summed_for_grey_images(trained: Path):
    backbone = Timm((1, 32, 32), model="test_resnet", weights=str(trained))
    torch.testing.assert_close(
        backbone.model.conv1[0].weight, load_file(trained)["conv1.0.weight"].sum(1, keepdim=True)
    )


def test_positions_of_a_transformer_are_resampled_for_another_size(tmp_path: Path):
    source = timm.create_model("test_vit", img_size=64)
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    backbone = Timm((3, 32, 32), model="test_vit", weights=str(tmp_path / "vit.safetensors"))
    assert backbone.model.pos_embed.shape[1] < source.pos_embed.shape[1]
    assert torch.equal(backbone.model.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)


@pytest.mark.skipif(
    DATA_ROOT is None, reason="TRANSFERSCOPE_DATA_ROOT is unset: the MobileNet weights are not at hand"
)
def test_the_mobilenet_weights_arrive():
    path = Path(DATA_ROOT) / "pretrained" / "mobilenetv1_100_imagenet.safetensors"
    arguments = {"pad_type": "same", "bn_eps": 1e-3}
    loaded = Timm((3, 64, 64), model="mobilenetv1_100", weights=str(path), model_arguments=arguments)
    random = Timm((3, 64, 64), model="mobilenetv1_100", model_arguments=arguments)
    state = load_file(path)
    assert all(torch.equal(loaded.model.state_dict()[key], value) for key, value in state.items())
    assert not torch.equal(random.model.conv_stem.weight, state["conv_stem.weight"])
    assert {module.eps for module in loaded.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {1e-3}
    images = IMAGES[:, :, :1, :1].expand(4, 3, 64, 64)
    torch.testing.assert_close(loaded.lower(images), images.float() / 127.5 - 1)


def without(state: dict, key: str) -> dict:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: without(state, "layer2.0.conv1.weight"), "Missing key(s)"),
        (lambda state: {**state, "layer9.weight": torch.zeros(1)}, "Unexpected key(s)"),
        (lambda state: {**state, "layer2.0.conv1.weight": torch.zeros(1, 1, 1, 1)}, "size mismatch"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(trained: Path, change, words: str):
    save_file(change(load_file(trained)), trained)
    assert_refused(
        {"model": "test_resnet", "weights": str(trained)},
        [f"backbone.weights={trained}", "do not fit test_resnet", words],
    )


def test_a_file_with_nothing_of_the_model_is_refused_and_the_hub_not_asked(
    trained: Path, monkeypatch: pytest.MonkeyPatch
):
    def asked(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", asked)
    head = {key: value for key, value in load_file(trained).items() if key.startswith("fc.")}
    save_file(head, trained)
    assert_refused(
        {"model": "test_resnet", "weights": str(trained)}, ["none of its 2 tensors is one of test_resnet's"]
    )


def test_weights_that_are_not_finite_are_refused(trained: Path):
    state = load_file(trained)
    state["layer2.0.conv1.weight"][0] = torch.nan
    save_file(state, trained)
    assert_refused(
        {"model": "test_resnet", "weights": str(trained)},
        ["layer2.0.conv1.weight holds values that are not finite"],
    )


def test_what_is_taken_of_a_file_is_said_and_kept(trained: Path, capsys: pytest.CaptureFixture):
    backbone = Timm((3, 32, 32), model="test_resnet", weights=str(trained))
    number = len(backbone.model.state_dict())
    assert backbone.loaded == {"taken": number, "of": number, "left_out": 2}
    assert f"{number} of {number} tensors taken, 2 of the file left out" in capsys.readouterr().err


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def head(*_args: object, **_kwargs: object) -> None:
        asked.append(1)
        raise ConnectionError

    monkeypatch.undo()  # timm's own way to the hub
    monkeypatch.setattr("transferscope.backbones.hub.get_session", lambda: SimpleNamespace(head=head))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")
    began = time.monotonic()
    assert_refused(
        {"model": "test_resnet", "weights": "pretrained"},
        ["the hub with the weights of test_resnet could not be reached"],
    )
    assert len(asked) == 1 and time.monotonic() - began < 5


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path):
    for name in ("weights.safetensors", "weights.pth"):
        (tmp_path / name).write_text("no weights")
        assert_refused({"model": "test_resnet", "weights": str(tmp_path / name)}, [name, "cannot be read"])


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch):
    def unreachable(*_args: object, **_kwargs: object) -> None:
        raise ConnectionError("no route to host\nmore of it")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)


def test_an_unreachable_hub_is_said_in_one_line():
    words = ["backbone.weights=pretrained", "could not be reached", "no route to host", "local file"]
    assert_refused({"model": "test_resnet", "weights": "pretrained"}, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "resnet81"}, ["backbone.model=resnet81", "did you mean 'resnet"]),
        ({"model": "resnet18.a9_in1k"}, ["'a9_in1k'", "resnet18.a1_in1k"]),
        (
            {"model": "test_resnet", "weights": "/nowhere/w.pth"},
            ["backbone.weights=/nowhere/w.pth", "no such file", "pretrained"],
        ),
        ({"model": "test_resnet", "weights": "pretraned"}, ["did you mean 'pretrained'"]),
        (
            {"model": UNTRAINED, "weights": "pretrained"},
            ["backbone.weights=pretrained", f"no weights for {UNTRAINED}"],
        ),
        (
            {"model": "test_resnet", "model_arguments": {"patch_sise": 4}},
            ["backbone.model=test_resnet", "patch_sise"],
        ),
        ({"model": "test_convnext", "input_shape": (3, 8, 8)}, ["3x8x8", "another image size"]),
        ({"model": "test_resnet", "input_shape": (800,)}, ["backbone=timm", "(800,)", "images"]),
    ],
)
def test_refusals_are_one_line_that_says_what_is_allowed(arguments: dict, words: list[str]):
    assert_refused(arguments, words)


def assert_refused(arguments: dict, words: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        Timm(**{"input_shape": (3, 32, 32), **arguments})
    message = str(refused.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    ("model", "trunk"),
    [("test_resnet", "layer2"), ("test_efficientnet", "blocks.2"), ("mobilenetv1_100", "blocks.3")],
)
def test_a_trunk_gives_once_what_the_rest_goes_on_from(model: str, trunk: str):
    whole, cut = Timm((3, 32, 32), model=model).eval(), Timm((3, 32, 32), model=model, trunk=trunk).eval()
    weights = [*whole.lower.state_dict().values(), *whole.model.state_dict().values()]
    for own, other in zip(
        (*cut.lower.state_dict().values(), *cut.model.state_dict().values()), weights, strict=True
    ):
        own.copy_(other)
    assert cut.trunk is None and cut.layer_groups()[0][0] == "trunk"
    assert torch.equal(cut(IMAGES), whole(IMAGES))
    cut.freeze_trunk()
    maps = cut.trunk(IMAGES)
    assert maps.ndim == 4 and torch.equal(cut(maps), whole(IMAGES))
    before = {name: value.clone() for name, value in cut.lower.state_dict().items()}
    cut.train()
    cut(maps).sum().backward()
    assert all(parameter.grad is None for parameter in cut.lower.parameters())
    assert all(parameter.grad is not None for _, group in cut.layer_groups() for parameter in group)
    assert all(torch.equal(value, before[name]) for name, value in cut.lower.state_dict().items())


def test_a_trunk_that_is_none_is_refused():
    assert_refused(
        {"model": "test_resnet", "trunk": "layer9"}, ["backbone.trunk=layer9", "no such layer", "layer3"]
    )
    assert_refused(
        {"model": "test_vit", "trunk": "blocks.1"}, ["backbone.trunk=blocks.1", "no chain", "trunk=null"]
    )
