"""The networks of our own: shapes, scaling and what they refuse."""

import pytest
import torch

from transferscope.backbones.lenet import LeNet
from transferscope.backbones.mlp import MLP
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.errors import RequestError


@pytest.mark.parametrize("network", [LeNet, SmallCNN])
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 32, 32), (4, 17, 40)])
def test_any_size_and_channels(network: type, shape: tuple[int, ...]):
    backbone = network(input_shape=shape)
    assert backbone(torch.zeros(2, *shape, dtype=torch.uint8)).shape == (2, backbone.features)


def test_lenet_has_the_layers_of_the_papers_on_digits():
    shapes = [tuple(parameter.shape) for parameter in LeNet((1, 28, 28)).parameters() if parameter.ndim > 1]
    assert shapes == [(20, 1, 5, 5), (50, 20, 5, 5), (500, 800)]


def test_lenet_and_cnn_see_grey_128_as_next_to_zero():
    for network in (LeNet((1, 16, 16)), SmallCNN((1, 16, 16))):
        inputs = []
        network.get_submodule("conv1").register_forward_pre_hook(
            lambda _, args, inputs=inputs: inputs.append(args[0])
        )
        network(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 16, 16))
        assert inputs[0].amin((1, 2, 3)).tolist() == [-1, 1]


def test_mlp_learns_the_scale_of_its_inputs():
    torch.manual_seed(0)
    near = torch.randn(64, 3)
    far = near * torch.tensor([1e-2, 1.0, 1e4]) + torch.tensor([0.0, 5.0, -1e5])
    network = MLP((3,), hidden=[8])
    torch.testing.assert_close(network(far), network(near), atol=0.1, rtol=0.1)


def test_mlp_bounds_what_a_rare_feature_can_do():
    network = MLP((2,), hidden=[8])
    for _ in range(100):
        # the second feature is constant in training
        network(torch.cat([torch.randn(16, 1), torch.zeros(16, 1)], dim=1))
    network.eval()
    with torch.no_grad():
        usual, rare = network(torch.tensor([[0.0, 0.0], [0.0, 3.0]]))
    assert (usual - rare).abs().max() < 10


@pytest.mark.parametrize("hidden", [[16], [16, 8, 4]])
def test_mlp_has_the_widths_asked_for(hidden: list[int]):
    network = MLP((7,), hidden=hidden)
    assert network.features == hidden[-1] and len(network.layer_groups()) == len(hidden)


@pytest.mark.parametrize(
    ("network", "arguments", "words"),
    [
        (LeNet, {"input_shape": (800,)}, ["backbone=lenet", "(800,)", "images"]),
        (SmallCNN, {"input_shape": (2,)}, ["backbone=small_cnn", "(2,)", "images"]),
        (MLP, {"input_shape": (3, 32, 32)}, ["backbone=mlp", "(3, 32, 32)", "arrays"]),
        (LeNet, {"input_shape": (1, 8, 8)}, ["16 pixels", "8x8"]),
        (SmallCNN, {"input_shape": (1, 4, 32)}, ["8 pixels", "4x32"]),
        (
            LeNet,
            {"input_shape": (1, 28, 28), "weights": "pretrained"},
            ["backbone.weights=pretrained", "allowed: random"],
        ),
        (
            SmallCNN,
            {"input_shape": (1, 28, 28), "weights": "w.pth"},
            ["backbone.weights=w.pth", "allowed: random"],
        ),
        (
            MLP,
            {"input_shape": (5,), "weights": "pretrained"},
            ["backbone.weights=pretrained", "allowed: random"],
        ),
        (MLP, {"input_shape": (5,), "hidden": []}, ["backbone.hidden=[]", "positive widths"]),
        (MLP, {"input_shape": (5,), "hidden": [8, 0]}, ["backbone.hidden=[8, 0]", "positive widths"]),
    ],
)
def test_refusals_are_one_line_that_says_what_is_allowed(network: type, arguments: dict, words: list[str]):
    with pytest.raises(RequestError) as refused:
        network(**arguments)
    message = str(refused.value)
    assert "\n" not in message and all(word in message for word in words), message
