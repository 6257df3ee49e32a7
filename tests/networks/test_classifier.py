"""The network every strategy trains: starting from a source model, working in chunks."""

import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.networks.classifier import Classifier, in_chunks


def classifier(seed: int, classes: int = 3) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(MLP((4,), hidden=[8]), classes)


def test_logits_are_the_head_on_the_features():
    network, inputs = classifier(0).eval(), torch.randn(5, 4)
    features = network.backbone(inputs)
    torch.testing.assert_close(network(inputs), features @ network.head.weight.T + network.head.bias)


def test_a_source_model_comes_whole_where_classes_are_shared():
    source, network = classifier(0), classifier(1)
    source(torch.randn(20, 4))  # moves the normalisation statistics, which come along too
    network.load_source(source.state_dict(), keep_head=True)
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.state_dict().values(), source.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("classes", [3, 5])
def test_a_source_model_comes_without_its_head_where_they_are_not(classes):
    source, network, untouched = classifier(0), classifier(1, classes), classifier(1, classes)
    source(torch.randn(20, 4))
    network.load_source(source.state_dict(), keep_head=False)
    assert all(
        torch.equal(value, source.state_dict()[f"backbone.{key}"])
        for key, value in network.backbone.state_dict().items()
    )
    assert torch.equal(network.head.weight, untouched.head.weight) and torch.equal(
        network.head.bias, untouched.head.bias
    )


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_chunks_give_the_whole_in_order_without_gradients(size):
    inputs = torch.arange(14.0).reshape(7, 2).requires_grad_()
    outputs = in_chunks(lambda chunk: chunk.double() * 2, inputs, "cpu", size)
    assert (
        outputs.tolist() == (inputs * 2).tolist()
        and outputs.dtype == torch.float32
        and not outputs.requires_grad
    )
