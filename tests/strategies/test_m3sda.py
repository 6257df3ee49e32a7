"""M3SDA: the distance of moments by hand, and terms and gradients in numpy."""

from itertools import combinations

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.strategies.m3sda import M3SDA, moment_distance


def test_a_distance_by_hand():
    """Means 1, 3 and 2, raw second moments 1, 9 and 4: (1 + 1) / 2 + (3 + 5) / 2 to the target, and 2 + 8
    between the sources."""
    one, three, two = (torch.full((4, 1), value) for value in (1.0, 3.0, 2.0))
    assert moment_distance([one, three], two) == pytest.approx(1 + 4 + 2 + 8)
    assert moment_distance([one], two) == pytest.approx(1 + 3)
    assert moment_distance([two, two], two) == 0


def test_a_second_feature_enters_by_the_euclidean_norm():
    assert moment_distance([torch.zeros(2, 2)], torch.tensor([[3.0, 4.0]] * 3)) == pytest.approx(
        5 + np.hypot(9, 16)
    )


@pytest.mark.parametrize("domains", [[0, 0, 0, 0], [0, 1, 0, 1], [0, 2, 5, 5]])
@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_and_gradients_equal_those_computed_by_hand(with_labels, domains):
    strategy, items = tiny.ready(M3SDA(tiny.network(), trade_off=0.5)), tiny.batch(with_labels)
    items = items._replace(source=items.source._replace(domain=torch.tensor(domains)))

    def expected(weights):
        source, target = tiny.features(weights, items.source.inputs), tiny.features(weights, items.unlabelled)
        parts = [source[np.array(domains) == i] for i in sorted(set(domains))]
        total = 0.0
        for k in (1, 2):
            total += np.mean([np.linalg.norm((part**k).mean(0) - (target**k).mean(0)) for part in parts])
            pairs = [
                np.linalg.norm((one**k).mean(0) - (other**k).mean(0)) for one, other in combinations(parts, 2)
            ]
            total += np.mean(pairs) if pairs else 0.0
        return tiny.supervised(weights, items) | {"moments": 0.5 * total}

    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        expected(tiny.weights_of(strategy)), rel=1e-9
    )
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda _, weights: sum(expected(weights).values()))


def test_the_moments_change_what_is_trained(finished):
    assert (
        finished("strategy=m3sda").on_test().tobytes()
        != finished("strategy=m3sda", "strategy.trade_off=0").on_test().tobytes()
    )
