"""Batch nuclear-norm maximisation, by hand."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.strategies.bnm import BNM, nuclear_norm


@pytest.mark.parametrize(
    ("p", "norm"),
    [
        ([[1, 0], [0, 1]], 1.0),  # sure, of both classes: singular values 1 and 1
        ([[1, 0], [1, 0]], 0.5**0.5),  # sure, of one class: √2
        ([[0.5, 0.5], [0.5, 0.5]], 0.5),  # unsure: 1
        ([[0.8, 0.2], [0.2, 0.8]], 0.8),  # 1 and 0.6
    ],
)
def test_the_norm_of_small_matrices(p, norm):
    assert nuclear_norm(torch.tensor(p, dtype=torch.float64)).item() == pytest.approx(norm)


def test_what_is_not_a_number_stays_so_and_raises_nothing():
    assert nuclear_norm(torch.tensor([[torch.nan, 0.5], [0.5, 0.5]])).isnan()


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand_and_the_norm_is_maximised(with_labels):
    strategy, items = tiny.ready(BNM(tiny.network(), trade_off=0.5)), tiny.batch(with_labels)

    def expected(weights):
        p = tiny.softmax(tiny.logits(weights, items.unlabelled))
        norm = np.sqrt(np.linalg.eigvalsh(p.T @ p).clip(0)).sum()
        return tiny.supervised(weights, items) | {"nuclear": -0.5 * norm / 5}

    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        expected(tiny.weights_of(strategy)), rel=1e-6
    )
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda name, weights: sum(expected(weights).values()), atol=1e-6)


def test_the_norm_changes_what_is_trained(finished):
    with_it, without = finished("strategy=bnm"), finished("strategy=bnm", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
