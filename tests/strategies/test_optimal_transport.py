"""Optimal transport against POT's and scipy's parts."""

import numpy as np
import ot
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from tiny_shallow import circle, items
from transferscope.backbones.identity import Identity
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Diverged
from transferscope.strategies.optimal_transport import LinearOptimalTransport, OptimalTransport
from transferscope.strategies.shallow import Items

GIVEN = items()


def method(make=OptimalTransport, **keys):
    return make(Classifier(Identity((6,)), 3), **keys)


def test_without_the_class_term_it_is_the_barycentre_of_sinkhorns_plan():
    cost = cdist(GIVEN.source, GIVEN.target, "sqeuclidean")
    plan = ot.sinkhorn(
        np.full(24, 1 / 24), np.full(18, 1 / 18), cost / np.median(cost), 0.5, numItermax=5000, stopThr=1e-12
    )
    moved = method(entropy=0.5, class_weight=0.0).adapt(GIVEN).source
    np.testing.assert_allclose(moved, 24 * plan @ GIVEN.target, atol=1e-4)


@pytest.mark.parametrize("class_weight", [0.0, 0.1])
def test_the_plan_is_where_the_objective_stands_still(class_weight):
    """Lagrange: with the marginals given, every γ_ij > 0 has c_ij + ε log γ_ij + η/2 (Σ of its class's γ in
    column j)^(-1/2) = f_i + g_j.

    The target's items are independent, so that the plan can be read from where the source goes.
    """
    draw, labels = np.random.default_rng(3), np.arange(12) % 3
    source, target = draw.normal(size=(12, 6)) + labels[:, None], draw.normal(size=(6, 6)) + 0.5
    moved = (
        method(entropy=0.5, class_weight=class_weight)
        .adapt(Items(source, labels, target, target[:0], labels[:0]))
        .source
    )
    plan = moved @ np.linalg.inv(target) / 12
    np.testing.assert_allclose(plan.sum(0), 1 / 6, atol=1e-6)
    np.testing.assert_allclose(plan.sum(1), 1 / 12, atol=1e-6)
    cost = cdist(source, target, "sqeuclidean")
    of_class = np.eye(3)[labels] @ np.eye(3)[labels].T @ plan  # [12, 6]
    slope = cost / np.median(cost) + 0.5 * np.log(plan) + class_weight / 2 * (of_class + 1e-3) ** -0.5
    rest = slope - slope.mean(0) - slope.mean(1, keepdims=True) + slope.mean()
    assert np.abs(rest).max() < 1e-3 * np.ptp(slope)


def mixing(class_weight: float) -> float:
    """How far from each other the items of one class go, in units of the target's spread."""
    moved = method(entropy=0.3, class_weight=class_weight).adapt(GIVEN).source
    return float(
        np.mean([moved[GIVEN.labels == c].std(0).mean() for c in range(3)]) / GIVEN.target.std(0).mean()
    )


def test_the_class_term_changes_where_the_source_goes():
    assert abs(mixing(1.0) - mixing(0.0)) > 0.01


def test_linear_transport_is_the_map_between_gaussians():
    of_source, of_target = (
        np.cov(x, rowvar=False, bias=True) + 0.5 * np.eye(6) for x in (GIVEN.source, GIVEN.target)
    )
    root = np.real(sqrtm(of_source))
    a = np.linalg.inv(root) @ np.real(sqrtm(root @ of_target @ root)) @ np.linalg.inv(root)
    expected = (GIVEN.source - GIVEN.source.mean(0)) @ a + GIVEN.target.mean(0)
    np.testing.assert_allclose(
        method(LinearOptimalTransport, regularisation=0.5).adapt(GIVEN).source, expected, atol=1e-6
    )


def at_home(known: bool) -> float:
    """The share of source items that go nearest to their own class in a target where the classes have changed
    places."""
    (source, labels, _), (target, of_target, _) = circle(60, 0), circle(60, 1)
    of_target = (of_target + 1) % 3
    told = (target, of_target) if known else (target[:0], of_target[:0])
    moved = (
        OptimalTransport(Classifier(Identity((2,)), 3), entropy=0.05)
        .adapt(Items(source, labels, target, *told))
        .source
    )
    means = np.stack([target[of_target == c].mean(0) for c in range(3)])
    return float((cdist(moved, means).argmin(1) == labels).mean())


def test_labelled_target_items_take_no_source_item_of_another_class():
    assert at_home(known=False) < 0.1
    assert at_home(known=True) > 0.4  # half of the mass lies on items without a label


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [
        (OptimalTransport, "entropy", 0.0),
        (OptimalTransport, "class_weight", -1.0),
        (LinearOptimalTransport, "regularisation", 0.0),
    ],
)
def test_a_key_out_of_range_is_refused(make, key, value):
    with pytest.raises(RequestError, match=f"strategy.{key}={value}"):
        method(make, **{key: value})


def test_an_entropy_too_small_to_compute_with_ends_as_diverged():
    with pytest.raises(Diverged, match=r"entropy=1e-09"):
        method(entropy=1e-9).adapt(GIVEN)
