"""LoRA: what is adapted, that it starts from the transferred network, what it is worth, and which backbones
it cannot serve."""

import copy
import sys
from functools import partial

import pytest
import torch
from torch import nn

from transferscope.backbones.mlp import MLP
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.backbones.timm import Timm
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.lora import LoRA
from transferscope.training.fit import fit
from transferscope.training.load import load_run
from transferscope.training.settings import FitSettings


def vit() -> Classifier:
    torch.manual_seed(0)
    return Classifier(Timm((1, 16, 16), model="test_vit", model_arguments={"patch_size": 4}), classes=3)


def images(size: int = 12) -> torch.Tensor:
    return torch.randint(
        0, 256, (size, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.fixture(scope="module")
def trained() -> tuple[Classifier, LoRA]:
    """(the network before, the strategy after a few steps)"""
    before = vit().eval()
    strategy = LoRA(copy.deepcopy(before), rank=4)
    pools = Pools(target=LabelledData(images(), torch.arange(12) % 3, torch.zeros(12)))
    fit(
        strategy,
        pools,
        {},
        FitSettings(
            6, 12, 2, partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1), "constant", "cpu", "32-true"
        ),
        (0, "test"),
    )
    return before, strategy.eval()


def test_before_the_first_step_it_is_the_transferred_network():
    whole = vit().eval()
    assert torch.equal(LoRA(copy.deepcopy(whole)).eval().logits(images()), whole(images()))


def test_every_linear_layer_gets_two_factors_and_all_else_of_the_backbone_stays(trained):
    before, after = trained
    linear = {name for name, layer in before.backbone.named_modules() if isinstance(layer, nn.Linear)}
    weights = after.network.backbone.state_dict()
    assert {key.split(".lora_")[0] for key in weights if ".lora_" in key} == linear and len(linear) == 4 * 6
    for name, value in before.backbone.state_dict().items():
        layer, _, part = name.rpartition(".")
        assert torch.equal(weights[f"{layer}.base_layer.{part}" if layer in linear else name], value)
    assert all((weights[f"{layer}.lora_B.default.weight"] != 0).any() for layer in linear)
    assert not torch.equal(after.network.head.weight, before.head.weight)


def test_what_it_adds_to_a_layer_is_the_scaled_product_of_its_factors(trained):
    before, after = trained
    name = "blocks.0.attn.qkv"
    layer, adapted = (part.get_submodule(f"backbone.model.{name}") for part in (before, after.network))
    a, b = adapted.lora_A["default"].weight, adapted.lora_B["default"].weight  # [4, in], [out, 4]
    inputs = torch.randn(5, layer.in_features)
    expected = nn.functional.linear(inputs, layer.weight + 16 / 4 * b @ a, layer.bias)
    torch.testing.assert_close(adapted(inputs), expected, rtol=1e-4, atol=1e-5)
    assert torch.linalg.matrix_rank(b @ a) == 4 < min(layer.weight.shape)


def test_adapters_belong_to_the_layer_groups_of_their_layers():
    backbone = LoRA(vit()).network.backbone
    groups = backbone.layer_groups()
    assert [name for name, _ in groups] == [name for name, _ in vit().backbone.layer_groups()]
    grouped = [id(parameter) for _, parameters in groups for parameter in parameters]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())


def test_a_kept_model_predicts_what_the_record_holds(train):
    run = train("strategy=lora", "keep=selected")
    loaded = load_run(run.folder)
    test = {item: number for number, item in enumerate(run.members["blobs/test/ids"])}
    from transferscope.training.request import load_domain

    domain = load_domain("target", "blobs", "data")
    chosen = [number for number, item in enumerate(domain.ids) if item in test]
    rows = [test[domain.ids[number]] for number in chosen]
    torch.testing.assert_close(
        loaded.predict(domain.inputs[chosen]).numpy(), run.on_test()[rows], rtol=0, atol=1e-6
    )


def test_a_backbone_without_linear_layers_is_not_applicable():
    with pytest.raises(
        NotApplicable, match="strategy=lora: the backbone has no linear layer to adapt; use one that has"
    ) as refusal:
        LoRA(Classifier(SmallCNN((1, 16, 16)), classes=3))
    assert "\n" not in str(refusal.value)


def test_pointwise_convolutions_are_adapted_where_that_is_asked_for_and_no_frozen_layer():
    cnn = Timm((3, 32, 32), model="mobilenetv1_100", trunk="blocks.3")
    cnn.freeze_trunk()
    whole = Classifier(cnn, classes=3).eval()
    strategy = LoRA(copy.deepcopy(whole), rank=4, pointwise=True).eval()
    adapted = {name.split(".lora_")[0] for name in strategy.network.backbone.state_dict() if ".lora_" in name}
    assert adapted == {f"model.blocks.4.{block}.conv_pw" for block in (0, 1)}
    pictures = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    # the same sums, which a processor may add in another order where memory lies otherwise
    torch.testing.assert_close(strategy.logits(strategy.precompute(pictures)), whole(pictures))


def test_a_rank_below_one_is_refused():
    with pytest.raises(RequestError, match="strategy.rank=0: an integer of at least 1"):
        LoRA(Classifier(MLP((4,)), classes=3), rank=0)


def test_without_peft_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        RequestError, match=r"strategy=lora: peft is not installed; pip install 'transferscope\[lora\]'"
    ):
        LoRA(Classifier(MLP((4,)), classes=3))
