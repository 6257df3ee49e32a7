"""Subspace alignment against scikit-learn's principal components."""

import numpy as np
import pytest
from sklearn import decomposition

from tiny_shallow import items
from transferscope.backbones.identity import Identity
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.pca import PCA
from transferscope.strategies.subspace_alignment import SubspaceAlignment

GIVEN = items()


def distances(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.linalg.norm(source[:, None] - target, axis=2)


def test_the_sources_axes_are_turned_onto_the_targets():
    of_source, of_target = (
        decomposition.PCA(3, svd_solver="full").fit(x).components_.T for x in (GIVEN.source, GIVEN.target)
    )
    adapted = SubspaceAlignment(Classifier(Identity((6,)), 3), dimensions=3).adapt(GIVEN)
    expected = distances(GIVEN.source @ of_source @ of_source.T @ of_target, GIVEN.target @ of_target)
    np.testing.assert_allclose(
        distances(adapted.source, GIVEN.target @ adapted.projection), expected, atol=1e-9
    )
    unaligned = distances(GIVEN.source @ of_source, GIVEN.target @ of_target)
    assert np.abs(unaligned - expected).max() > 0.1


def test_principal_components_are_those_of_both_domains_together():
    axes = decomposition.PCA(3, svd_solver="full").fit(np.r_[GIVEN.source, GIVEN.target]).components_.T
    adapted = PCA(Classifier(Identity((6,)), 3), dimensions=3).adapt(GIVEN)
    np.testing.assert_allclose(
        distances(adapted.source, GIVEN.target @ adapted.projection),
        distances(GIVEN.source @ axes, GIVEN.target @ axes),
        atol=1e-9,
    )


def test_more_dimensions_than_the_smaller_domain_has_are_cut():
    adapted = SubspaceAlignment(Classifier(Identity((6,)), 3), dimensions=30).adapt(
        GIVEN._replace(target=GIVEN.target[:4])
    )
    assert adapted.projection.shape == (6, 3)
    with pytest.raises(RequestError, match="dimensions=0"):
        SubspaceAlignment(Classifier(Identity((6,)), 3), dimensions=0)
