"""Subspace alignment against scikit-learn's principal components, and under the shift that it is for."""

import numpy as np
import pytest
from sklearn import decomposition

from tiny_shallow import circle, gain, items
from transferscope.backbones.identity import Identity
from transferscope.errors import Refused
from transferscope.networks.classifier import Classifier
from transferscope.strategies.pca import PCA
from transferscope.strategies.subspace_alignment import SubspaceAlignment

GIVEN = items()


def distances(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.linalg.norm(source[:, None] - target, axis=2)


def test_the_sources_axes_are_turned_onto_the_targets():
    of_source, of_target = (decomposition.PCA(3, svd_solver="full").fit(x).components_.T for x in (GIVEN.source, GIVEN.target))
    adapted = SubspaceAlignment(Classifier(Identity((6,)), 3), dimensions=3).adapt(GIVEN)
    expected = distances(GIVEN.source @ of_source @ of_source.T @ of_target, GIVEN.target @ of_target)
    np.testing.assert_allclose(distances(adapted.source, GIVEN.target @ adapted.projection), expected, atol=1e-9)
    unaligned = distances(GIVEN.source @ of_source, GIVEN.target @ of_target)
    assert np.abs(unaligned - expected).max() > 0.1


def test_principal_components_are_those_of_both_domains_together():
    axes = decomposition.PCA(3, svd_solver="full").fit(np.r_[GIVEN.source, GIVEN.target]).components_.T
    adapted = PCA(Classifier(Identity((6,)), 3), dimensions=3).adapt(GIVEN)
    np.testing.assert_allclose(
        distances(adapted.source, GIVEN.target @ adapted.projection), distances(GIVEN.source @ axes, GIVEN.target @ axes), atol=1e-9
    )


def elsewhere(size, draw, is_target, degrees=75):
    """Two strong features among twelve; in the target they are others, save for a component of cos 75° in the old ones."""
    plane, labels, random = circle(size, draw)
    inputs = 0.8 * random.normal(size=(size, 12))
    turn = np.deg2rad(degrees) * is_target
    inputs[:, :2] += np.cos(turn) * plane
    inputs[:, 2:4] += np.sin(turn) * plane
    return inputs, labels


def test_it_gains_where_the_strong_features_are_others():
    before, after = gain(SubspaceAlignment, elsewhere, scaling="none", dimensions=2)
    assert before < 0.85 and after > before + 0.1, f"{before:.3f} -> {after:.3f}"


def buried(size, draw, is_target):
    plane, labels, random = circle(size, draw, radius=2.5)
    return np.c_[plane, random.normal(size=(size, 200))], labels


def test_principal_components_gain_where_features_without_meaning_are_many():
    before, after = gain(PCA, buried, scaling="none", dimensions=2)
    assert before < 0.85 and after > before + 0.1, f"{before:.3f} -> {after:.3f}"


def test_more_dimensions_than_the_smaller_domain_has_are_cut():
    adapted = SubspaceAlignment(Classifier(Identity((6,)), 3), dimensions=30).adapt(GIVEN._replace(target=GIVEN.target[:4]))
    assert adapted.projection.shape == (6, 3)
    with pytest.raises(Refused, match="dimensions=0"):
        SubspaceAlignment(Classifier(Identity((6,)), 3), dimensions=0)
