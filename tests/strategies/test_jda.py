"""Joint distribution adaptation against scipy's generalised eigenproblem, and under the shift that it is
for."""

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles

from planted_shallow import crossed
from tiny_shallow import accuracy, items
from transferscope.backbones.identity import Identity
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.jda import JDA
from transferscope.strategies.tca import TCA


def method(**keys) -> JDA:
    return JDA(Classifier(Identity((6,)), 3), **keys)


def test_the_second_round_solves_equation_8_with_the_classes_of_the_first(monkeypatch):
    given, guessed = items(), np.array([0, 1, 2, 1, 1, 0] * 3)
    monkeypatch.setattr(JDA, "guess", lambda self, items, adapted: guessed)
    pooled = np.concatenate([given.source, given.target])
    parts = [np.r_[np.full(24, 1 / 24), np.full(18, -1 / 18)]]
    for c in range(3):
        parts.append(
            np.r_[(given.labels == c) / (given.labels == c).sum(), (guessed == c) / -(guessed == c).sum()]
        )
    m = sum(weight * np.outer(part, part) for weight, part in zip((2.5, 1, 1, 1), parts, strict=True))
    left = pooled.T @ (m / np.linalg.norm(m)) @ pooled + 0.5 * np.eye(6)
    _, expected = eigh(pooled.T @ (np.eye(42) - 1 / 42) @ pooled, left, subset_by_index=(4, 5))
    adapted = method(kernel="primal", dimensions=2, penalty=0.5, rounds=2, domain_weight=2.5).adapt(given)
    assert subspace_angles(adapted.projection, expected).max() < 1e-6


def test_the_first_round_is_tca():
    keys = {"dimensions": 2, "kernel": "gaussian"}
    once = method(rounds=1, **keys).adapt(items())
    tca = TCA(Classifier(Identity((6,)), 3), **keys).adapt(items())
    np.testing.assert_array_equal(once.projection, tca.projection)


def test_later_rounds_gain_where_the_means_meet_and_those_of_the_classes_do_not():
    keys = {"scaling": "none", "dimensions": 2, "penalty": 0.01, "unit_length": "none"}
    assert accuracy(JDA, crossed, **keys) > accuracy(JDA, crossed, rounds=1, **keys) + 0.05  # what TCA gives


@pytest.mark.parametrize("key", ["rounds", "domain_weight"])
def test_a_key_of_nothing_is_refused(key):
    with pytest.raises(RequestError, match=f"strategy.{key}=0"):
        method(**{key: 0})
