"""Kernel mean matching against scipy's solver, and under the shift that it is for."""

import numpy as np
import pytest
from scipy.optimize import minimize

from planted_shallow import partly
from tiny_shallow import fitted, gain, items, kernel_of
from transferscope.backbones.identity import Identity
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.mapped_classifier import MappedClassifier
from transferscope.strategies.kmm import KernelMeanMatching, matching_weights, project


def method(**keys) -> KernelMeanMatching:
    return KernelMeanMatching(Classifier(Identity((6,)), 3), **keys)


@pytest.mark.parametrize("bound", [1000.0, 1.5])
def test_the_weights_solve_the_quadratic_programme(bound):
    given = items(n=12, m=9)
    pooled = kernel_of(np.r_[given.source, given.target])
    kernel, kappa = pooled[:12, :12], 12 * pooled[:12, 12:].mean(1)
    slack = (np.sqrt(12) - 1) / np.sqrt(12)
    sums = [
        {"type": "ineq", "fun": lambda b: b.sum() - 12 * (1 - slack)},
        {"type": "ineq", "fun": lambda b: 12 * (1 + slack) - b.sum()},
    ]
    solved = minimize(
        lambda b: 0.5 * b @ kernel @ b - kappa @ b, np.ones(12), jac=lambda b: kernel @ b - kappa,
        bounds=[(0, bound)] * 12, constraints=sums, options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    weights = method(bound=bound).adapt(given).weights
    np.testing.assert_allclose(weights, solved.x, atol=1e-4)
    assert weights.min() == 0 < weights.max() <= bound


@pytest.mark.parametrize(("low", "high"), [(5.0, 6.0), (0.0, 1.0), (1.9, 2.1)])
def test_the_projection_is_the_nearest_point_that_is_allowed(low, high):
    values = np.array([-1.0, 0.3, 0.9, 2.5, 0.8])
    inside = [
        {"type": "ineq", "fun": lambda b: b.sum() - low},
        {"type": "ineq", "fun": lambda b: high - b.sum()},
    ]
    nearest = minimize(
        lambda b: ((b - values) ** 2).sum(),
        np.full(5, 0.4),
        bounds=[(0, 1.5)] * 5,
        constraints=inside,
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(project(values, 1.5, low, high), nearest.x, atol=1e-5)


def test_equal_domains_have_equal_weights():
    source = np.random.default_rng(0).normal(size=(30, 2))
    kernel = kernel_of(source)
    np.testing.assert_allclose(matching_weights(kernel, kernel.sum(1), 1000.0, 0.8), 1, atol=0.2)


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
def test_either_classifier_gains_where_the_target_lies_in_a_part_of_the_source(classifier):
    before, after = gain(KernelMeanMatching, partly, classifier, scaling="none", bandwidth=0.2)
    assert before < 0.85 and after > before + 0.1, f"{before:.3f} -> {after:.3f}"


def test_labelled_target_items_have_the_weight_one(monkeypatch):
    seen = []
    fit = MappedClassifier.fit
    monkeypatch.setattr(
        MappedClassifier, "fit", lambda self, x, y, w: (seen.append(w), fit(self, x, y, w))[1]
    )
    source, (target, labels) = partly(60, 0, False), partly(60, 1, True)
    fitted(KernelMeanMatching, source, target, known=(target[:4], labels[:4]))
    assert len(seen[0]) == 64 and (seen[0][60:] == 1).all() and seen[0][:60].std() > 0.1


def test_a_nearest_neighbour_is_refused():
    with pytest.raises(RequestError, match="classifier=nearest_neighbour"):
        method(classifier="nearest_neighbour")
