"""DANN against an independent computation in numpy and numerical gradients."""

import numpy as np
import pytest
import torch

from tiny_adaptation import Linear
from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.dann import DANN


def dann(trade_off: float = 1.0, steps_done: int = 0) -> DANN:
    torch.manual_seed(0)
    strategy = DANN(Classifier(Linear(), classes=3), trade_off, hidden=4).double()
    strategy.set_length(100, optimizer=None, schedule="constant")
    strategy.steps_done.fill_(steps_done)
    strategy.on_fit_start()
    strategy.on_train_epoch_start()
    return strategy


def batch(with_labels: bool) -> Batch:
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(4 + 2 + 5, 3, generator=draw, dtype=torch.float64)
    source = LabelledData(inputs[:4], torch.tensor([0, 1, 2, 0]), torch.zeros(4))
    target = LabelledData(inputs[4:6], torch.tensor([2, 1]), torch.zeros(2)) if with_labels else None
    return Batch(source, target, inputs[6:])


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(
        np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, labels, strict=True)])
    )


def by_hand(weights: dict[str, np.ndarray], items: Batch) -> dict[str, float]:
    """The three terms from the weights, by the equations."""

    def features(inputs):
        return (
            inputs.numpy() @ weights["network.backbone.layer.weight"].T
            + weights["network.backbone.layer.bias"]
        )

    def head(inputs):
        return features(inputs) @ weights["network.head.weight"].T + weights["network.head.bias"]

    hidden = np.concatenate([features(items.source.inputs), features(items.unlabelled)])
    for layer in ("0", "2"):
        hidden = np.maximum(
            hidden @ weights[f"discriminator.{layer}.weight"].T + weights[f"discriminator.{layer}.bias"], 0
        )
    is_source = 1 / (
        1 + np.exp(-(hidden @ weights["discriminator.4.weight"].T + weights["discriminator.4.bias"])[:, 0])
    )
    source, unlabelled = np.split(is_source, [len(items.source.labels)])
    terms = {
        "source": cross_entropy(head(items.source.inputs), items.source.labels.numpy()),
        "domain": -float(np.log(source).mean() + np.log(1 - unlabelled).mean()) / 2,
    }
    if items.target:
        terms["target"] = cross_entropy(head(items.target.inputs), items.target.labels.numpy())
    return terms


def weights_of(strategy: DANN) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy().copy() for key, value in strategy.named_parameters()}


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels):
    strategy, items = dann(), batch(with_labels)
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(by_hand(weights_of(strategy), items), rel=1e-9)
    # one pass, so that normalisation sees both domains together
    assert strategy.network.backbone.calls == [11 if with_labels else 9]


@pytest.mark.parametrize(
    ("steps_done", "trade_off", "strength"),
    [
        (0, 1.0, 0.0),
        (10, 1.0, 0.46211716),
        (25, 1.0, 0.84828364),
        (50, 2.0, 1.97322860),
        (100, 1.0, 0.99990920),
    ],
)
def test_features_go_against_the_discriminator_with_the_strength_of_the_schedule(
    steps_done, trade_off, strength
):
    """Numerical gradients of  CE_S + CE_T - λ L_D  for the network and of  L_D  for the discriminator."""
    strategy, items = dann(trade_off, steps_done), batch(with_labels=True)
    strategy.backward(strategy.losses(items))
    weights = weights_of(strategy)
    for name, parameter in strategy.named_parameters():
        expected = np.zeros_like(weights[name])
        for place in np.ndindex(expected.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = weights | {name: weights[name].copy()}
                moved[name][place] += step
                terms = by_hand(moved, items)
                sides.append(terms["domain"] if name.startswith("discriminator") else
                             terms["source"] + terms["target"] - strength * terms["domain"])  # fmt: skip
            expected[place] = (sides[0] - sides[1]) / 2e-6
        np.testing.assert_allclose(parameter.grad.numpy(), expected, atol=1e-7, err_msg=name)


def test_the_adversary_changes_what_is_trained(finished):
    with_it, without = finished("strategy=dann"), finished("strategy=dann", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
