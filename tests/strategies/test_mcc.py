"""Minimum class confusion, by hand and by loops over items and classes."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.strategies.mcc import MCC, class_confusion


def by_loops(logits: np.ndarray, weighed_by: np.ndarray | None = None) -> float:
    """weighed_by: the logits that the items' weights come from, which no gradient reaches."""
    p = tiny.softmax(logits)
    certainty = 1 + np.exp(-tiny.entropy(logits if weighed_by is None else weighed_by))
    items, classes = p.shape
    total = 0.0
    for a in range(classes):
        row = [
            sum(items * certainty[i] / certainty.sum() * p[i, a] * p[i, b] for i in range(items))
            for b in range(classes)
        ]
        total += sum(row[b] for b in range(classes) if b != a) / sum(row)
    return total / classes


def test_confusion_of_two_items_by_hand():
    """p = (3/4, 1/4) and its mirror: equal weights; K = [[10, 6], [6, 10]] / 16."""
    logits = torch.log(torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64))
    assert class_confusion(logits).item() == pytest.approx(6 / 16)


def test_sure_predictions_have_none_and_unsure_ones_the_most():
    assert class_confusion(100 * torch.eye(3)).item() == pytest.approx(0, abs=1e-6)
    assert class_confusion(torch.zeros(4, 3)).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_and_gradients_equal_those_computed_by_hand(with_labels):
    strategy, items = tiny.ready(MCC(tiny.network(), trade_off=0.5, temperature=2.0)), tiny.batch(with_labels)

    start = tiny.logits(tiny.weights_of(strategy), items.unlabelled) / 2

    def expected(weights):
        return tiny.supervised(weights, items) | {
            "confusion": 0.5 * by_loops(tiny.logits(weights, items.unlabelled) / 2, start)
        }

    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        expected(tiny.weights_of(strategy)), rel=1e-9
    )
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda name, weights: sum(expected(weights).values()))


def test_the_confusion_changes_what_is_trained(finished):
    with_it, without = finished("strategy=mcc"), finished("strategy=mcc", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
