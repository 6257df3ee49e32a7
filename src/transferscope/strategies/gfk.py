"""The geodesic flow kernel (Gong et al. 2012, CVPR)."""

import numpy as np

from transferscope.networks.closed_form import principal_axes
from transferscope.strategies.shallow import Adapted, Items, Subspace


class GeodesicFlowKernel(Subspace):
    """k(x, x') = xᵀ G x',  G = ∫ Φ(t) Φ(t)ᵀ dt over t from 0 to 1, Φ the geodesic from the source's principal
    subspace to the target's   (eq. 5)

    With A, B the principal vectors of the two subspaces and θ their angles, Φ_i(t) = A_i cos(t θ_i) + R_i
    sin(t θ_i), R_i the part of B_i that is orthogonal to A_i, at length 1. The integral is in closed form; z
    = Lᵀ x with G = L Lᵀ, so that distances of z are those of the kernel. Deviations: the paper chooses the
    number of dimensions by its subspace disagreement measure, here it is a key; its variant with partial
    least squares for the source's subspace is left out. Classes that lie in directions of little variance are
    cut off with them."""

    def adapt(self, items: Items) -> Adapted:
        dimensions = min(self.dimensions, len(items.source) - 1, len(items.target) - 1)
        factor = geodesic_factor(
            principal_axes(items.source, dimensions), principal_axes(items.target, dimensions)
        )
        return Adapted(items.source @ factor, factor)


def geodesic_factor(of_source: np.ndarray, of_target: np.ndarray) -> np.ndarray:
    """L [d, 2k] with L Lᵀ = G, from orthonormal axes [d, k] each."""
    left, cosines, right = np.linalg.svd(of_source.T @ of_target)
    principal, angles = of_source @ left, np.arccos(np.clip(cosines, 0, 1))  # [d, k], [k]
    across = of_target @ right.T - principal * cosines
    norms = np.linalg.norm(across, axis=0)
    # where the subspaces meet there is none
    across = np.divide(across, norms, out=np.zeros_like(across), where=norms > 1e-12)
    # ∫ cos², ∫ sin²
    cos_cos, sin_sin = ((1 + np.sinc(2 * angles / np.pi)) / 2, (1 - np.sinc(2 * angles / np.pi)) / 2)
    cos_sin = angles / 2 * np.sinc(angles / np.pi) ** 2  # ∫ cos sin = sin²(θ) / (2 θ)
    flow = np.stack([np.stack([cos_cos, cos_sin], 1), np.stack([cos_sin, sin_sin], 1)], 1)  # [k, 2, 2]
    values, vectors = np.linalg.eigh(flow)
    roots = vectors * np.sqrt(values.clip(0))[:, None, :]
    return np.einsum("dik,kij->dkj", np.stack([principal, across], 1), roots).reshape(len(principal), -1)
