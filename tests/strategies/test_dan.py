"""DAN: the distance of every layer, by a double loop over pairs."""

from itertools import combinations

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.dan import DAN


def by_pairs(source: np.ndarray, target: np.ndarray) -> float:
    """Mean over five bandwidths of the unbiased MMD²."""
    pooled = [*source, *target]
    squared = sorted(float(np.sum((x - y) ** 2)) for x, y in combinations(pooled, 2))
    median = squared[(len(squared) - 1) // 2]

    def between(a, b, factor):
        return np.exp(-np.sum((a - b) ** 2) / (factor * median))

    values = []
    for factor in (0.25, 0.5, 1, 2, 4):
        within = [
            np.mean([between(x, y, factor) for x, y in combinations(side, 2)]) for side in (source, target)
        ]
        values.append(sum(within) - 2 * np.mean([between(x, y, factor) for x in source for y in target]))
    return float(np.mean(values))


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels):
    strategy, items = tiny.ready(DAN(tiny.network(), trade_off=0.5)), tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    distances = [
        by_pairs(layer(weights, items.source.inputs), layer(weights, items.unlabelled))
        for layer in (tiny.features, tiny.logits)
    ]
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(tiny.supervised(weights, items) | {"mmd": 0.5 * sum(distances)}, rel=1e-9)


def test_the_distance_changes_what_is_trained(finished):
    with_it, without = finished("strategy=dan"), finished("strategy=dan", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
