"""IWDAN against numpy and numerical gradients; its weights against a search of the constraint set, and near
the true ones under label shift."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import tiny_adaptation as tiny
from planted import skewed_turned
from toy_fit import SETTINGS
from transferscope.backbones.mlp import MLP
from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.iwdan import IWDAN, shift_weights
from transferscope.training.fit import fit
from transferscope.training.request import resolve

K = np.array([[0.20, 0.05, 0.05], [0.05, 0.30, 0.02], [0.05, 0.05, 0.23]])  # columns: true class
MU = np.array([0.5, 0.2, 0.3])


def iwdan(steps_done: int = 0) -> IWDAN:
    strategy = tiny.ready(IWDAN(tiny.network(), hidden=4, memory=0.75), steps_done)
    strategy.confusion.copy_(torch.from_numpy(K))
    strategy.predicted.copy_(torch.from_numpy(MU))
    strategy.class_weights.copy_(torch.tensor([3.0, 0.5, 0.1]))
    return strategy


def by_hand(weights: tiny.Weights, items, predicted_by: tiny.Weights, solved: bool) -> dict[str, float]:
    """predicted_by: the weights that K, μ and w come from, which no gradient reaches. solved: whether w is
    new at this step."""
    labels = items.source.labels.numpy()
    p_source, p_target = (
        tiny.softmax(tiny.logits(predicted_by, part)) for part in (items.source.inputs, items.unlabelled)
    )
    confusion = 0.75 * K + 0.25 * sum(
        np.outer(p, np.eye(3)[y]) for p, y in zip(p_source, labels, strict=True)
    ) / len(labels)
    w = shift_weights(confusion, 0.75 * MU + 0.25 * p_target.mean(0)) if solved else np.array([3.0, 0.5, 0.1])
    p = tiny.softmax(tiny.logits(weights, items.source.inputs))[np.arange(len(labels)), labels]
    source, unlabelled = (
        tiny.discriminated(weights, tiny.features(weights, part))
        for part in (items.source.inputs, items.unlabelled)
    )
    terms = {
        "source": -(np.log(p) / confusion.sum(0)[labels]).mean() / 3,
        "domain": (-(w[labels] * np.log(source)).mean() - np.log(1 - unlabelled).mean()) / 2,
    }
    return terms | ({"target": tiny.supervised(weights, items)["target"]} if items.target else {})


@pytest.mark.parametrize(("steps_done", "strength"), [(0, 0.0), (20, 0.76159416), (25, 0.84828364)])
@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_and_gradients_equal_those_computed_by_hand(with_labels, steps_done, strength):
    strategy, items = iwdan(steps_done), tiny.batch(with_labels)
    start = tiny.weights_of(strategy)
    terms = strategy.losses(items)
    expected = by_hand(start, items, start, solved=steps_done % 10 == 0)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-6)
    strategy.backward(terms)

    def objective(name, weights):
        told = by_hand(weights, items, start, solved=steps_done % 10 == 0)
        domain = told.pop("domain")
        return domain if name.startswith("discriminator") else sum(told.values()) - strength * domain

    tiny.assert_gradients(strategy, objective, atol=1e-6)


@pytest.mark.parametrize("mu", [MU, np.array([0.1, 0.1, 0.8]), np.array([0.9, 0.05, 0.05])])
def test_the_weights_are_those_of_the_least_squares_within_their_bounds(mu):
    shares = K.sum(0)
    best = minimize(
        lambda w: ((mu - K @ w) ** 2).sum(), np.ones(3), bounds=[(0, None)] * 3,
        constraints={"type": "eq", "fun": lambda w: shares @ w - 1}, method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    found = shift_weights(K, mu)
    np.testing.assert_allclose(found, best.x, atol=1e-4)
    assert shares @ found == pytest.approx(1, abs=1e-6) and (found >= 0).all()


def test_a_target_of_known_shares_has_their_ratio_for_weights():
    """Under label shift μ = K w for the true w, whatever the classifier's errors."""
    true = np.array([2.0, 0.5, 0.25])
    true /= K.sum(0) @ true
    np.testing.assert_allclose(shift_weights(K, K @ true), true, atol=1e-6)


def test_trained_on_a_skewed_target_its_weights_come_near_the_true_ratio():
    torch.manual_seed(0)
    strategy = IWDAN(Classifier(MLP((4,), hidden=[32, 32]), classes=3))
    fit(
        strategy,
        Pools(source=skewed_turned(240, 1, False), unlabelled=skewed_turned(240, 2, True).inputs),
        {},
        SETTINGS,
        (0, "test"),
    )
    np.testing.assert_allclose(strategy.class_weights, [2.1, 0.45, 0.45], atol=0.3)


def test_a_memory_that_is_no_share_is_refused(config):
    with pytest.raises(RequestError, match="strategy.memory=-1.0"):
        resolve(config("strategy=iwdan", "strategy.memory=-1.0"))
