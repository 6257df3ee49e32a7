"""Consistency: both terms by hand, what the threshold lets through, where gradients go, and the two views."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.errors import RequestError
from transferscope.strategies.consistency import Consistency, cut_out, recoloured
from transferscope.training.request import resolve


def consistency(threshold: float) -> Consistency:
    """With views that are no draws: α(x) = x, A(x) = x + 0.5."""
    strategy = tiny.ready(Consistency(tiny.network(), trade_off=2.0, threshold=threshold))
    strategy.weak, strategy.strong = lambda inputs: inputs, lambda inputs: inputs + 0.5
    return strategy


def by_hand(weights: tiny.Weights, items, threshold: float, predicted_by: tiny.Weights) -> dict[str, float]:
    """predicted_by: the weights that the pseudo-labels come from, which no gradient reaches."""
    expected = tiny.softmax(tiny.logits(predicted_by, items.unlabelled))
    strong = tiny.softmax(tiny.logits(weights, items.unlabelled + 0.5))
    sum_of_sure = -sum(np.log(strong[i, p.argmax()]) for i, p in enumerate(expected) if p.max() >= threshold)
    return {
        "target": tiny.supervised(weights, items)["target"],
        "consistency": 2 * sum_of_sure / len(expected),
    }


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_terms_and_gradients_equal_those_computed_by_hand(threshold):
    strategy, items = consistency(threshold), tiny.batch(with_labels=True)
    start = tiny.weights_of(strategy)
    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        by_hand(start, items, threshold, start), rel=1e-9
    )
    strategy.backward(terms)
    tiny.assert_gradients(
        strategy, lambda _, weights: sum(by_hand(weights, items, threshold, start).values())
    )


def test_the_thresholds_of_the_test_let_all_some_and_none_through():
    p = tiny.softmax(tiny.logits(tiny.weights_of(consistency(0.5)), tiny.batch().unlabelled)).max(1)
    assert 0 < (p >= 0.5).sum() < len(p) and p.max() < 1


def test_the_strong_view_of_arrays_is_noise_of_each_features_size_and_the_weak_one_is_the_array():
    torch.manual_seed(0)
    strategy = Consistency(tiny.network(), noise=0.5)
    inputs = torch.randn(20_000, 2) * torch.tensor([1.0, 10.0])
    assert strategy.weak(inputs) is inputs
    np.testing.assert_allclose((strategy.strong(inputs) - inputs).std(0), [0.5, 5.0], rtol=0.03)


def test_views_of_pictures_are_shifts_and_what_is_cut_out_is_a_quarter():
    torch.manual_seed(0)
    strategy = Consistency(tiny.network())
    images = torch.zeros(50, 1, 16, 16, dtype=torch.uint8)
    images[:, :, 7:9, 7:9] = 200
    weak = strategy.weak(images)
    assert (weak.sum((1, 2, 3)) == images.sum((1, 2, 3))).all() and len(weak.flatten(1).unique(dim=0)) > 10
    cut = cut_out(torch.zeros(50, 3, 16, 12, dtype=torch.uint8))
    assert ((cut == 127).sum((2, 3)) == 6 * 6).all() and len(cut.flatten(1).unique(dim=0)) > 10
    assert not torch.equal(strategy.strong(images), strategy.strong(images))


def test_other_contrast_and_brightness_are_within_their_bounds():
    torch.manual_seed(0)
    images = torch.tensor([100, 140], dtype=torch.uint8).repeat(1000, 1, 1, 1)  # mean 120, half-width 20
    low, high = recoloured(images).float()[:, 0, 0].T
    assert 10 <= (high - low).min() / 2 < 11 and 29 < (high - low).max() / 2 <= 30.5
    assert 56 <= ((low + high) / 2).min() < 60 and 180 < ((low + high) / 2).max() <= 184


def test_the_unlabelled_items_change_what_is_trained(finished):
    with_them, without = (
        finished("strategy=consistency", f"strategy.trade_off={weight}", "strategy.threshold=0.3")
        for weight in (1.0, 0.0)
    )
    assert with_them.on_test().tobytes() != without.on_test().tobytes()


def test_a_threshold_that_is_no_probability_is_refused(config):
    with pytest.raises(RequestError, match="strategy.threshold=95.0: a probability"):
        resolve(config("strategy=consistency", "strategy.threshold=95.0"))
