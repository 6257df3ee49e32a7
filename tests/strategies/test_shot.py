"""SHOT: pseudo-labels and the three terms, by hand; what stays the source model's."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.data.splits import Pools
from transferscope.strategies.shot import SHOT
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings


def nearest(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The class of the centroid with the least cosine distance; classes without weight have none."""
    centroids = [
        (weights[:, c] @ features) / weights[:, c].sum() if weights[:, c].sum() else None
        for c in range(weights.shape[1])
    ]
    distances = [
        [2.0 if c is None else 1 - f @ c / np.linalg.norm(f) / np.linalg.norm(c) for c in centroids]
        for f in features
    ]
    return np.argmin(distances, axis=1)


def shot() -> SHOT:
    return tiny.ready(
        SHOT(tiny.network(), pseudo_label_weight=0.5)
    ).float()  # the pool's features are in single precision


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels):
    strategy, items = shot(), tiny.batch(with_labels)
    items = items._replace(unlabelled=items.unlabelled.float())
    if with_labels:
        items = items._replace(target=items.target._replace(inputs=items.target.inputs.float()))
    pool = torch.randn(20, 3, generator=torch.Generator().manual_seed(5))
    pool[:5] = items.unlabelled
    strategy.begin_interval(Pools(unlabelled=pool))
    weights = tiny.weights_of(strategy)
    features = tiny.features(weights, pool)
    first = nearest(features, tiny.softmax(tiny.logits(weights, pool)))
    labels = nearest(features, np.eye(3)[first])
    # training goes on, the pseudo-labels are still those of the interval's start
    strategy.network.backbone.layer.weight.data += 0.2
    weights = tiny.weights_of(strategy)
    logits = tiny.logits(weights, items.unlabelled)
    mean = tiny.softmax(logits).mean(0)
    expected = {
        "entropy": tiny.entropy(logits).mean(),
        "diversity": (mean * np.log(mean)).sum(),
        "pseudo_labels": 0.5 * tiny.cross_entropy(logits, torch.from_numpy(labels[:5])),
    }
    if with_labels:
        expected["target"] = tiny.cross_entropy(
            tiny.logits(weights, items.target.inputs), items.target.labels
        )
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert len(set(labels)) > 1
    assert terms == pytest.approx(expected, rel=1e-5)


def test_a_class_that_nothing_is_nearest_to_is_no_pseudo_label():
    strategy = shot()
    strategy.centroids[:] = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]])  # the second has no item
    assert strategy.nearest(torch.tensor([[3.0, 1.0], [1.0, 3.0]])).tolist() == [2, 0]


def test_the_head_stays_and_the_backbone_moves():
    strategy = SHOT(tiny.network())
    before = copy.deepcopy(strategy.network.state_dict())
    pools = Pools(unlabelled=tiny.batch().unlabelled.float())
    fit(
        strategy,
        pools,
        {},
        FitSettings(4, 4, 2, partial(torch.optim.AdamW, lr=0.1), "constant", "cpu", "32-true"),
        (0, "test"),
    )
    moved = {
        name for name, value in strategy.network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"backbone.layer.weight", "backbone.layer.bias"}


def test_pseudo_labels_change_what_is_trained_and_no_source_item_does(finished):
    with_them = finished("strategy=shot")
    without = finished("strategy=shot", "strategy.pseudo_label_weight=0")
    assert with_them.on_test().tobytes() != without.on_test().tobytes()
    assert (
        with_them.record["result"]["samples"]["source"] == 0
        and with_them.record["cell"]["initialisation"] == "source"
    )
