"""Stepwise adaptive feature norms, by hand."""

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.afn import AFN


@pytest.mark.parametrize("with_labels", [False, True])
def test_every_norm_is_pulled_a_step_above_what_it_is(with_labels):
    strategy, items = tiny.ready(AFN(tiny.network(), trade_off=0.5, step=3.0)), tiny.batch(with_labels)
    start = tiny.weights_of(strategy)

    def norms(weights):
        both = [tiny.features(weights, inputs) for inputs in (items.source.inputs, items.unlabelled)]
        return np.sqrt((np.concatenate(both) ** 2).sum(1))

    def expected(weights):
        return tiny.supervised(weights, items) | {"norm": 0.5 * np.mean((norms(start) + 3.0 - norms(weights)) ** 2)}

    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected(start), rel=1e-9)
    assert terms["norm"].item() == pytest.approx(0.5 * 3.0**2)
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda name, weights: sum(expected(weights).values()))


def test_the_norms_change_what_is_trained(finished):
    with_it, without = finished("strategy=afn"), finished("strategy=afn", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
