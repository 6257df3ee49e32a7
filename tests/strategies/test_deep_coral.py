"""Deep CORAL: its distance on the logits, by hand."""

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.deep_coral import DeepCORAL


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels):
    strategy, items = tiny.ready(DeepCORAL(tiny.network(), trade_off=0.5)), tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    covariances = [
        np.cov(tiny.logits(weights, inputs).T) for inputs in (items.source.inputs, items.unlabelled)
    ]
    distance = np.sum((covariances[0] - covariances[1]) ** 2) / (4 * 3**2)
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert distance > 0.005
    assert terms == pytest.approx(tiny.supervised(weights, items) | {"coral": 0.5 * distance}, rel=1e-9)
    # one pass: normalisation sees both domains together
    assert strategy.network.backbone.calls == [11 if with_labels else 9]


def test_the_distance_changes_what_is_trained(finished):
    with_it = finished("strategy=deep_coral")
    without = finished("strategy=deep_coral", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
