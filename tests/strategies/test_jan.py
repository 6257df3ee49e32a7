"""JAN: the joint distance by a double loop over pairs, and its schedule."""

from itertools import combinations

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.strategies.jan import JAN, joint_mmd


def by_pairs(source: list[np.ndarray], target: list[np.ndarray]) -> float:
    """source, target: one array a layer."""
    medians = []
    for of_source, of_target in zip(source, target, strict=True):
        squared = sorted(float(np.sum((x - y) ** 2)) for x, y in combinations([*of_source, *of_target], 2))
        medians.append(squared[(len(squared) - 1) // 2])

    def kernel(x, y):
        return np.prod(
            [np.exp(-np.sum((a - b) ** 2) / median) for a, b, median in zip(x, y, medians, strict=True)]
        )

    sides = [list(zip(*side, strict=True)) for side in (source, target)]
    within = [np.mean([kernel(x, y) for x, y in combinations(side, 2)]) for side in sides]
    return float(sum(within) - 2 * np.mean([kernel(x, y) for x in sides[0] for y in sides[1]]))


@pytest.mark.parametrize(("steps_done", "strength"), [(0, 0.0), (25, 0.42414182), (100, 0.49995460)])
@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels, steps_done, strength):
    strategy, items = tiny.ready(JAN(tiny.network(), trade_off=0.5), steps_done), tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    layers = [
        [tiny.features(weights, i), tiny.softmax(tiny.logits(weights, i))]
        for i in (items.source.inputs, items.unlabelled)
    ]
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(
        tiny.supervised(weights, items) | {"jmmd": strength * by_pairs(*layers)}, rel=1e-6
    )


def test_it_sees_what_each_layers_distance_is_blind_to():
    """Equal marginals of both layers, joined otherwise: what goes with what is the opposite.

    The medians are 1. An item of the source equals half of those of the same joint and differs from the
    others in both layers; of the other joint it differs from all in one layer."""
    one, other = torch.tensor([[0.0], [0.0], [1.0], [1.0]]), torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    more = joint_mmd((one, one), (one, other)) - joint_mmd((one, one), (one, one))
    assert more.item() == pytest.approx(2 * ((1 + np.exp(-2)) / 2 - np.exp(-1)))


def test_the_distance_changes_what_is_trained(finished):
    with_it, without = finished("strategy=jan"), finished("strategy=jan", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
