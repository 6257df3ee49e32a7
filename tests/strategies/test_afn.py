"""Stepwise adaptive feature norms, by hand."""

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.afn import AFN


@pytest.mark.parametrize("with_labels", [False, True])
def test_every_norm_is_pulled_a_step_above_what_it_is(with_labels):
    strategy, items = tiny.ready(AFN(tiny.network(), trade_off=0.5, step=3.0)), tiny.batch(with_labels)
    start = tiny.weights_of(strategy)

    def growth(weights, inputs):
        now, then = (np.sqrt((tiny.features(which, inputs) ** 2).sum(1)) for which in (weights, start))
        return np.mean((then + 3.0 - now) ** 2)

    def expected(weights):
        return tiny.supervised(weights, items) | {
            "norm": 0.5 * (growth(weights, items.source.inputs) + growth(weights, items.unlabelled))
        }

    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected(start), rel=1e-9)
    # a mean for each domain, added as in the authors' code
    assert terms["norm"].item() == pytest.approx(0.5 * 2 * 3.0**2)
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda name, weights: sum(expected(weights).values()))


def test_the_norms_change_what_is_trained(finished):
    with_it, without = finished("strategy=afn"), finished("strategy=afn", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
