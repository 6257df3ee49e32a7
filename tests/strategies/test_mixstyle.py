"""MixStyle: the mixture by hand, where it is done, and who is refused."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tiny_maps import Maps
from transferscope.backbones.lenet import LeNet
from transferscope.backbones.mlp import MLP
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.backbones.timm import Timm
from transferscope.cli.main import main
from transferscope.data.splits import LabelledData
from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.mixstyle import MixStyle, convolutional_stages, mixed_styles

IMAGES = (1, 16, 16)


def test_maps_get_the_mixed_mean_and_deviation_and_keep_their_pattern():
    draw = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 2, 4, 5, generator=draw).double() * 3 + 1
    order = torch.tensor([1, 2, 0])
    share = torch.tensor([1.0, 0.25, 0.0])
    mixed = mixed_styles(maps, order, share.view(3, 1, 1, 1)).numpy()
    a = maps.numpy()
    for i, (j, w) in enumerate(zip(order.tolist(), share.tolist(), strict=True)):
        for k in range(2):
            mean, deviation = (w * f(a[i, k]) + (1 - w) * f(a[j, k]) for f in (np.mean, np.std))
            np.testing.assert_allclose(
                mixed[i, k], mean + deviation * (a[i, k] - a[i, k].mean()) / a[i, k].std(), atol=1e-5
            )


def test_no_gradient_passes_the_statistics():
    maps = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    mixed_styles(maps, torch.tensor([1, 0]), torch.zeros(2, 1, 1, 1)).sum().backward()
    deviation = maps.detach().std((2, 3), unbiased=False)
    torch.testing.assert_close(
        maps.grad, (deviation[[1, 0]] / deviation).view(2, 1, 1, 1).expand_as(maps), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [
        (partial(SmallCNN, IMAGES), ["conv1", "conv2", "conv3"]),
        (partial(LeNet, IMAGES), ["conv1", "conv2"]),
        (partial(Timm, (3, 32, 32), "resnet18"), [f"model.layer{i}" for i in (1, 2, 3, 4)]),
        (partial(Timm, (3, 32, 32), "mobilenetv1_100"), [f"model.blocks.{i}" for i in range(5)]),
    ],
)
def test_the_stages_of_a_backbone(backbone, stages):
    built = backbone()
    assert [dict(built.named_modules())[name] for name in stages] == convolutional_stages(built)


@pytest.mark.parametrize(
    "backbone",
    [partial(MLP, (4,), hidden=[8, 8]), partial(Timm, IMAGES, "test_vit", model_arguments={"patch_size": 4})],
)
def test_a_backbone_without_maps_is_refused(backbone):
    with pytest.raises(
        NotApplicable, match="strategy=mixstyle: the backbone has no two stages of convolutions"
    ):
        MixStyle(Classifier(backbone(), classes=3))


def test_it_mixes_after_the_first_stages_half_of_the_time_and_never_in_evaluation():
    torch.manual_seed(0)
    strategy, seen = MixStyle(Classifier(SmallCNN(IMAGES), classes=3)), []
    stages = strategy.network.backbone.conv2, strategy.network.backbone.conv3
    for stage, watch in zip(stages, ([], []), strict=True):
        stage.register_forward_pre_hook(
            lambda module, given, watch=watch: watch.append(given[0].detach().mean((2, 3)))
        )
        seen.append(watch)
    batch_norm_free(strategy)
    images = torch.randint(256, (8, *IMAGES), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    strategy.eval()
    strategy.logits(images)
    strategy.train()
    for _ in range(60):
        strategy.logits(images)
    plain = seen[0][0]
    mixed = [not torch.allclose(means, plain) for means in seen[0][1:]]
    assert 15 <= sum(mixed) <= 45
    # the second mixture comes on top of the first
    assert len({means.sum().item() for means in seen[1][1:]}) > 10
    strategy.eval()
    strategy.logits(images)
    assert torch.equal(seen[0][-1], plain)


def batch_norm_free(module: nn.Module) -> None:
    """Training and evaluation then differ in nothing else."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.forward = lambda maps: maps


def test_terms_are_the_cross_entropies_of_what_is_labelled():
    torch.manual_seed(0)
    strategy = MixStyle(Classifier(Maps((4,)), classes=2)).eval()
    draw = torch.Generator().manual_seed(0)
    source, target = (
        LabelledData(torch.randn(n, 4, generator=draw), torch.arange(n) % 2, torch.zeros(n)) for n in (4, 3)
    )
    terms = strategy.losses(Batch(source, target, None))
    for name, part in (("source", source), ("target", target)):
        p = strategy.predictions(part.inputs).detach().numpy()
        assert terms[name].item() == pytest.approx(
            -np.log(p[np.arange(len(p)), part.labels]).mean(), rel=1e-5
        )
    assert list(strategy.losses(Batch(source, None, None))) == ["source"]


def test_the_mixture_changes_what_is_trained(finished):
    mixed = finished("strategy=mixstyle").on_test().tobytes()
    assert finished("strategy=mixstyle", "strategy.alpha=1.0").on_test().tobytes() != mixed


def test_mixing_without_maps_is_refused_in_one_line(tmp_path, capsys):
    asked = [
        "target=blobs",
        "source=blobs_shifted",
        "backbone=mlp",
        "strategy=mixstyle",
        "tracking=off",
        f"store={tmp_path}",
    ]
    assert main(["run", *asked]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert (
        "strategy=mixstyle: the backbone has no two stages of convolutions above what is frozen; allowed: "
        "one that has"
    ) in line
