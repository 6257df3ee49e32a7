"""MDD against numpy and numerical gradients."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.strategies.mdd import MDD, other_class_loss


def disparity(weights, items, margin: float, predicted_by) -> float:
    """-D; predicted_by: the weights that h comes from, which no gradient reaches."""
    shares = []
    for inputs in (items.source.inputs, items.unlabelled):
        p = tiny.softmax(tiny.linear(weights, "adversary", tiny.features(weights, inputs)))
        shares.append(p[np.arange(len(p)), tiny.logits(predicted_by, inputs).argmax(1)])
    return float(-margin * np.log(shares[0]).mean() - np.log(1 - shares[1]).mean())


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels):
    strategy, items = tiny.ready(MDD(tiny.network(), margin=3.0)), tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(
        tiny.supervised(weights, items) | {"disparity": disparity(weights, items, 3.0, weights)}, rel=1e-9
    )


@pytest.mark.parametrize(
    ("steps_done", "trade_off", "strength"), [(0, 0.1, 0.0), (25, 0.1, 0.084828364), (50, 2.0, 1.97322860)]
)
def test_features_go_against_the_adversary_with_the_strength_of_the_schedule(steps_done, trade_off, strength):
    strategy = tiny.ready(MDD(tiny.network(), trade_off, margin=3.0), steps_done)
    items = tiny.batch(with_labels=True)
    start = tiny.weights_of(strategy)
    strategy.backward(strategy.losses(items))

    def objective(name, weights):
        loss = disparity(weights, items, 3.0, predicted_by=start)
        return (
            loss
            if name.startswith("adversary")
            else sum(tiny.supervised(weights, items).values()) - strength * loss
        )

    tiny.assert_gradients(strategy, objective)


def test_an_adversary_that_is_sure_of_the_same_class_has_a_finite_loss():
    assert other_class_loss(torch.tensor([[200.0, 0.0, -1.0]]), torch.tensor([0])).item() == pytest.approx(
        200 - np.log(1 + np.exp(-1))
    )


def test_the_adversary_changes_what_is_trained(finished):
    with_it, without = finished("strategy=mdd"), finished("strategy=mdd", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
