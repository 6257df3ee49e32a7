"""Principal components of source and target together: the baseline that the subspace methods of shallow
adaptation are printed beside."""

import numpy as np

from transferscope.networks.closed_form import principal_axes
from transferscope.strategies.shallow import Adapted, Items, Subspace


class PCA(Subspace):
    """z = Wᵀ x,  W = argmax over orthonormal W of tr(Wᵀ C W), C the covariance of the features of source and
    target together

    Nothing in it looks for what the domains have in common, or for the classes: those in directions of little
    variance are cut off with them."""

    def adapt(self, items: Items) -> Adapted:
        axes = principal_axes(np.concatenate([items.source, items.target]), self.dimensions)
        return Adapted(items.source @ axes, axes)
