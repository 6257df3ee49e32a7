"""Entropy minimisation beside a labelled source, by hand."""

import pytest

import tiny_adaptation as tiny
from transferscope.strategies.minimum_entropy import MinimumEntropy


@pytest.mark.parametrize(("steps_done", "weight"), [(0, 0.0), (25, 0.125), (100, 0.5)])
@pytest.mark.parametrize("with_labels", [False, True])
def test_the_entropys_weight_grows_linearly_over_the_steps(with_labels, steps_done, weight):
    strategy = tiny.ready(MinimumEntropy(tiny.network(), trade_off=0.5), steps_done)
    items = tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    entropy = tiny.entropy(tiny.logits(weights, items.unlabelled)).mean()
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(tiny.supervised(weights, items) | {"entropy": weight * entropy}, rel=1e-9)


def test_the_entropy_changes_what_is_trained(finished):
    with_it = finished("strategy=minimum_entropy")
    without = finished("strategy=minimum_entropy", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
