"""The geodesic flow kernel against the integral it is."""

import numpy as np
from scipy.integrate import quad_vec
from scipy.linalg import subspace_angles

from tiny_shallow import items
from transferscope.backbones.identity import Identity
from transferscope.networks.classifier import Classifier
from transferscope.networks.closed_form import principal_axes
from transferscope.strategies.gfk import GeodesicFlowKernel, geodesic_factor

GIVEN = items(width=8)


def test_the_kernel_is_the_integral_over_the_geodesic():
    """The geodesic as Edelman et al. 1998 write it, from the tangent at its start."""
    start, end = principal_axes(GIVEN.source, 3), principal_axes(GIVEN.target, 3)
    tangent = (end - start @ (start.T @ end)) @ np.linalg.inv(start.T @ end)
    u, tangents, vt = np.linalg.svd(tangent, full_matrices=False)
    angles = np.arctan(tangents)

    def subspace(t: float) -> np.ndarray:
        return start @ vt.T * np.cos(t * angles) + u * np.sin(t * angles)

    assert subspace_angles(subspace(1.0), end).max() < 1e-6
    expected, _ = quad_vec(lambda t: subspace(t) @ subspace(t).T, 0, 1)
    factor = geodesic_factor(start, end)
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-9)
    adapted = GeodesicFlowKernel(Classifier(Identity((8,)), 3), dimensions=3).adapt(GIVEN)
    np.testing.assert_allclose(adapted.source, GIVEN.source @ adapted.projection)
    np.testing.assert_allclose(adapted.projection @ adapted.projection.T, expected, atol=1e-9)


def test_from_a_subspace_to_itself_the_kernel_is_its_projection():
    axes = principal_axes(GIVEN.source, 3)
    factor = geodesic_factor(axes, axes[:, ::-1])
    np.testing.assert_allclose(factor @ factor.T, axes @ axes.T, atol=1e-9)
