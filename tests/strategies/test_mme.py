"""MME against numpy and numerical gradients: one entropy, opposite signs."""

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.mme import MME


def by_prototypes(weights, inputs) -> np.ndarray:
    f = tiny.features(weights, inputs)
    return f / np.sqrt((f**2).sum(1, keepdims=True)) @ weights["network.head.weight"].T / 0.5


def terms_of(weights, items) -> dict[str, float]:
    entropy = tiny.entropy(by_prototypes(weights, items.unlabelled)).mean()
    return tiny.supervised(weights, items, scores=by_prototypes) | {"entropy": -0.3 * entropy}


def test_terms_equal_those_computed_by_hand_and_features_go_against_the_prototypes():
    strategy = tiny.ready(MME(tiny.network(), trade_off=0.3, temperature=0.5))
    items = tiny.batch(with_labels=True)
    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        terms_of(tiny.weights_of(strategy), items), rel=1e-9
    )
    strategy.backward(terms)

    def objective(name, weights):
        terms = terms_of(weights, items)
        # prototypes maximise the entropy, features minimise it
        sign = 1 if name.startswith("network.head") else -1
        return terms["source"] + terms["target"] + sign * terms["entropy"]

    tiny.assert_gradients(strategy, objective)


def test_predictions_are_by_the_angle_to_the_prototypes():
    strategy, items = tiny.ready(MME(tiny.network(), temperature=0.5)), tiny.batch()
    expected = tiny.softmax(by_prototypes(tiny.weights_of(strategy), items.unlabelled))
    np.testing.assert_allclose(strategy.predictions(items.unlabelled).detach().numpy(), expected, rtol=1e-9)


def test_the_entropy_changes_what_is_trained(finished):
    with_it, without = finished("strategy=mme"), finished("strategy=mme", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
