"""Every backbone of conf/backbone, walked: what a strategy relies on."""

import os
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from tiny_encoders import encoder
from transferscope.backbones.base import Backbone
from transferscope.errors import RequestError
from transferscope.training.reading import reader_of

SHELF = Path(__file__).parents[2] / "conf" / "backbone"
DATA_ROOT = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
needs_data = pytest.mark.skipif(
    DATA_ROOT is None, reason="TRANSFERSCOPE_DATA_ROOT is unset: pretrained weights are not at hand"
)
OF_FILES = ("mobilenetv1", "minilm", "word_vectors")
NAMES = [
    pytest.param(path.stem, marks=needs_data if path.stem in OF_FILES else ())
    for path in sorted(SHELF.glob("*.yaml"))
]
TEXTS = ["A plain text.", "of", "and one that is a good deal longer than the others here", "the last"] * 2
pytestmark = pytest.mark.parametrize("name", NAMES)


@cache
def tiny() -> str:
    return encoder(Path(mkdtemp()) / "bert")


def load(name: str) -> DictConfig:
    config = OmegaConf.create({"data_root": DATA_ROOT, "backbone": OmegaConf.load(SHELF / f"{name}.yaml")})
    if name == "transformer":  # of whichever model is asked for
        config.backbone.model, config.backbone.max_tokens = tiny(), 64
    OmegaConf.resolve(config)
    return config.backbone


def build(name: str, seed: int = 0) -> tuple[Backbone, Tensor]:
    """The backbone of a yaml and a batch for it: texts where it takes them, else images, or arrays where it
    refuses them."""
    config = load(name)
    del config.name
    kind = get_class(config["_target_"])
    if kind.takes == ("text",):
        reader = reader_of(config).fit([(text,) for text in TEXTS])
        torch.manual_seed(seed)
        rows = reader.read([(text,) for text in TEXTS]).rows(np.arange(8))
        return instantiate(config, input_shape=(1,)), rows
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (8, 3, 32, 32), generator=draw, dtype=torch.uint8)
    arrays = torch.randn(8, 5, generator=draw)
    torch.manual_seed(seed)
    try:
        return instantiate(config, input_shape=tuple(images.shape[1:])), images
    except InstantiationException as error:
        if not isinstance(error.__cause__, RequestError):
            raise
        return instantiate(config, input_shape=tuple(arrays.shape[1:])), arrays


def test_yaml_opens_with_its_description_and_names_itself(name: str):
    assert (SHELF / f"{name}.yaml").read_text().startswith("# ")
    config = load(name)
    assert config.name == (config.model if name == "timm" else name)


def test_features_have_the_width_it_says(name: str):
    backbone, inputs = build(name)
    assert isinstance(backbone, Backbone) and backbone.training
    features = backbone(inputs)
    assert (
        features.shape == (8, backbone.features)
        and features.dtype == torch.float32
        and features.isfinite().all()
    )


def test_gradients_reach_every_parameter(name: str):
    backbone, inputs = build(name)
    if not inputs.is_floating_point() or not backbone.weightless:
        backbone(inputs).square().sum().backward()
    assert [key for key, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_layer_groups_hold_every_parameter_once_in_the_order_of_the_forward_pass(name: str):
    backbone, inputs = build(name)
    groups = backbone.layer_groups()
    if backbone.weightless:
        assert groups == [] == list(backbone.parameters())
        return
    assert (len(groups) > 1 or name in ("word_vectors", "tfidf_mlp")) and len(
        {label for label, _ in groups}
    ) == len(groups)
    grouped = [id(parameter) for _, parameters in groups for parameter in parameters]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())
    assert_in_order(backbone, inputs, groups)


def assert_in_order(backbone: Backbone, inputs: Tensor, groups: list[tuple[str, list[nn.Parameter]]]) -> None:
    """No group is first used before the one in front of it."""
    used: dict[int, int] = {}
    for module in backbone.modules():
        own = list(module.parameters(recurse=False))
        module.register_forward_pre_hook(
            lambda *_, own=own: used.update({id(p): len(used) for p in own if id(p) not in used})
        )
    with torch.no_grad():
        backbone(inputs)
    first = [min(used[id(p)] for p in parameters if id(p) in used) for _, parameters in groups]
    assert first == sorted(first)


def test_the_global_seed_decides_the_weights(name: str):
    first, second, other = build(name), build(name), build(name, seed=1)
    weights = [list(backbone.parameters()) for backbone, _ in (first, second, other)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    same_as_other = all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
    assert same_as_other == (first[0].weightless or load(name).weights != "random")
