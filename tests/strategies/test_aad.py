"""AaD: both terms and their gradients in numpy, with neighbours found one by one."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.strategies.aad import AaD
from transferscope.training.request import resolve


def drawn_pool(items) -> torch.Tensor:
    """20 items, of which the first five are those of the batch."""
    pool = torch.randn(20, 3, generator=torch.Generator().manual_seed(5))
    pool[:5] = items.unlabelled
    return pool


def by_hand(
    weights: tiny.Weights, items, pool: torch.Tensor, weight: float, before: tiny.Weights
) -> dict[str, float]:
    """before: the weights when the interval began."""
    features, p_pool = tiny.features(before, pool), tiny.softmax(tiny.logits(before, pool))
    p = tiny.softmax(tiny.logits(weights, items.unlabelled))
    attraction = dispersion = 0.0
    for i in range(5):
        cosine = [
            f @ features[i] / np.linalg.norm(f) / np.linalg.norm(features[i]) if j != i else -2
            for j, f in enumerate(features)
        ]
        attraction -= sum(p[i] @ p_pool[j] for j in np.argsort(cosine)[-2:])
        dispersion += sum(p[i] @ p[m] for m in range(5) if m != i)
    terms = {"attraction": attraction / 5, "dispersion": weight * dispersion / 5}
    return terms | (
        {"target": tiny.cross_entropy(tiny.logits(weights, items.target.inputs), items.target.labels)}
        if items.target
        else {}
    )


@pytest.mark.parametrize(
    ("steps_done", "decay", "weight"), [(0, 2.0, 1.0), (30, 2.0, 1 / 16), (30, 0.0, 1.0)]
)
@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_and_gradients_equal_those_computed_by_hand(with_labels, steps_done, decay, weight):
    strategy = tiny.ready(AaD(tiny.network(), neighbours=2, decay=decay), steps_done)
    items = tiny.batch(with_labels)
    pool = drawn_pool(items).double()
    strategy.begin_interval(Pools(unlabelled=pool))
    before = tiny.weights_of(strategy)
    strategy.network.backbone.layer.weight.data += 0.2  # training goes on, the pool is what it was
    now = tiny.weights_of(strategy)
    terms = strategy.losses(items)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        by_hand(now, items, pool, weight, before), rel=1e-5
    )
    strategy.backward(terms)
    tiny.assert_gradients(
        strategy, lambda _, weights: sum(by_hand(weights, items, pool, weight, before).values()), atol=1e-6
    )


def test_a_pool_of_fewer_items_than_neighbours_has_all_of_them():
    strategy = tiny.ready(AaD(tiny.network(), neighbours=10)).float()
    items = tiny.batch()
    strategy.begin_interval(Pools(unlabelled=items.unlabelled.float()))
    np.testing.assert_allclose(strategy.near(items.unlabelled.float()).sum(1), 4, rtol=1e-5)


def test_neighbours_and_dispersion_change_what_is_trained(finished):
    runs = [
        finished("strategy=aad", *keys) for keys in ((), ("strategy.neighbours=1",), ("strategy.decay=9.0",))
    ]
    assert len({run.on_test().tobytes() for run in runs}) == 3


@pytest.mark.parametrize("value", ["neighbours=0", "decay=-1"])
def test_values_that_are_none_are_refused(config, value):
    with pytest.raises(RequestError, match="at least 1 and at least 0 are needed"):
        resolve(config("strategy=aad", f"strategy.{value}"))
