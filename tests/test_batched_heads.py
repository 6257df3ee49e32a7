"""One step of many heads as a batch: the bits of each head's own step, or known not to be."""

import pytest
import torch
from torch import nn

from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.training.batched_heads import BatchedHeads


class Identity(nn.Module):
    trunk = None

    def __init__(self, features: int):
        super().__init__()
        self.features = features

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


def heads(count: int, features: int, classes: int, smoothing: float = 0.0) -> list[FeatureExtraction]:
    made = [FeatureExtraction(Classifier(Identity(features), classes)) for _ in range(count)]
    for strategy in made:
        strategy.label_smoothing = smoothing
    return made


def batches(count: int, items: int, features: int, classes: int) -> list[Batch]:
    labels = torch.randint(classes, (count, items))
    return [
        Batch(None, LabelledData(torch.randn(items, features), y, torch.zeros_like(y)), None) for y in labels
    ]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.manual_seed(0)
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("count", "items", "features", "classes"), [(40, 32, 512, 10), (2, 16, 1024, 31), (8, 64, 256, 2)]
)
def test_a_step_of_the_batch_is_every_heads_own(count, items, features, classes):
    strategies, drawn = heads(count, features, classes), batches(count, items, features, classes)
    own = []
    for strategy, batch in zip(strategies, drawn, strict=True):
        strategy.losses(batch)["target"].backward()
        head = strategy.network.head
        own.append(
            (
                strategy.losses(batch)["target"].detach(),
                head.weight.grad.clone(),
                head.bias.grad.clone(),
                head.weight.detach().clone(),
            )
        )
    together = BatchedHeads(strategies)
    assert together.fits(strategies, drawn)
    for strategy, loss, (own_loss, weight, bias, value) in zip(
        strategies, together.step(drawn), own, strict=True
    ):
        head = strategy.network.head
        assert (
            torch.equal(loss, own_loss)
            and torch.equal(head.weight.grad, weight)
            and torch.equal(head.bias.grad, bias)
        )
        assert torch.equal(head.weight, value)


def test_what_moves_a_head_moves_the_batch():
    strategies, drawn = heads(3, 64, 5), batches(3, 32, 64, 5)
    together = BatchedHeads(strategies)
    before = together.step(drawn)
    torch.optim.SGD(strategies[1].parameters(), lr=1.0).step()
    after = together.step(drawn)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_other_losses_and_batches_of_other_sizes_do_not_fit():
    drawn = batches(2, 32, 512, 10)
    for strategies, given in (
        (heads(2, 512, 10, smoothing=0.1), drawn),
        (heads(2, 512, 10), [drawn[0], batches(1, 20, 512, 10)[0]]),
    ):
        assert not BatchedHeads(strategies).fits(strategies, given)


@pytest.mark.parametrize(
    ("items", "features", "classes"),
    [(1, 16, 2), (3, 16, 5), (10, 16, 2), (1, 64, 3), (20, 100, 12), (32, 2048, 65)],
)
def test_what_the_first_step_says_holds_for_the_others(items, features, classes):
    """Products of a few items are rounded otherwise as one; of which sizes depends on the processor."""
    strategies = heads(2, features, classes)
    together = BatchedHeads(strategies)
    claimed = together.fits(strategies, batches(2, items, features, classes))
    same = []
    for _ in range(20):
        drawn = batches(2, items, features, classes)
        for strategy, batch, loss in zip(strategies, drawn, together.step(drawn), strict=True):
            own, head = strategy.losses(batch)["target"], strategy.network.head
            gradients = torch.autograd.grad(own, (head.weight, head.bias))
            same.append(
                torch.equal(own, loss)
                and all(map(torch.equal, gradients, (head.weight.grad, head.bias.grad)))
            )
    assert all(same) or not claimed
