"""Subspace alignment (Fernando et al. 2013, ICCV)."""

from transferscope.networks.closed_form import principal_axes
from transferscope.strategies.shallow import Adapted, Items, Subspace


class SubspaceAlignment(Subspace):
    """source z = Mᵀ P_Sᵀ x, target z = P_Tᵀ x,  M = argmin |P_S M - P_T|² = P_Sᵀ P_T,  P_S and P_T the
    domains' principal axes   (eq. 1 to 4)

    Items are compared in the target's subspace. The paper chooses the number of dimensions by the stability
    of the axes and cross-validation; here it is a key, equal for both domains. It takes z-scores first, as
    scaling=domain does. Classes that lie in directions of little variance are cut off with them."""

    def adapt(self, items: Items) -> Adapted:
        dimensions = min(self.dimensions, len(items.source) - 1, len(items.target) - 1)
        of_source = principal_axes(items.source, dimensions)
        of_target = principal_axes(items.target, dimensions)
        return Adapted(items.source @ of_source @ (of_source.T @ of_target), of_target)
