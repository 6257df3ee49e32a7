"""CORAL against scipy's matrix powers."""

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

from tiny_shallow import items
from transferscope.backbones.identity import Identity
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.coral import CORAL

GIVEN = items()


def method(**keys) -> CORAL:
    return CORAL(Classifier(Identity((6,)), 3), **keys)


@pytest.mark.parametrize("regularisation", [1.0, 0.1])
def test_the_source_is_whitened_and_coloured_as_the_target(regularisation):
    of_source, of_target = (
        np.cov(x, rowvar=False) + regularisation * np.eye(6) for x in (GIVEN.source, GIVEN.target)
    )
    expected = (
        GIVEN.source @ fractional_matrix_power(of_source, -0.5) @ fractional_matrix_power(of_target, 0.5)
    )
    adapted = method(regularisation=regularisation).adapt(GIVEN)
    np.testing.assert_allclose(adapted.source, expected, atol=1e-9)
    assert adapted.projection is None  # target items stay


def test_the_covariances_meet():
    adapted = method(regularisation=1e-9).adapt(GIVEN)
    np.testing.assert_allclose(
        np.cov(adapted.source, rowvar=False), np.cov(GIVEN.target, rowvar=False), atol=1e-6
    )


def test_a_regularisation_of_nothing_is_refused():
    with pytest.raises(RequestError, match="regularisation=0.0"):
        method(regularisation=0.0)
