"""Optimal transport of the source's features onto the target's (Courty et al. 2017, arXiv 1507.00504),
through POT (https://pythonot.github.io)."""

import warnings

import numpy as np
import ot

from transferscope.data.domain import UNLABELLED
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.mapped_classifier import ClassifierName, UnitLength
from transferscope.strategies.base import Diverged
from transferscope.strategies.shallow import Adapted, Items, Scaling, ShallowAdaptation

# what a plan pays, in units of the largest cost, for laying a class on a labelled item of another
FORBIDDEN = 10.0


class OptimalTransport(ShallowAdaptation):
    """source z_i = n Σ_j γ_ij t_j,  γ = argmin Σ_ij γ_ij c_ij + ε Σ_ij γ_ij log γ_ij + η Σ_j Σ_c ( Σ_{i of
    class c} γ_ij )^(1/2)   (eq. 14 and 18)

    γ [n, m] moves the n source items s, each of weight 1/n, onto the m target items t, each of weight 1/m;
    c_ij = |s_i - t_j|² over its median. ε = entropy blurs the plan; η = class_weight keeps items of several
    classes from going to one place. Target items stay where they are. Labelled ones take no source item of
    another class. Where numbers are predicted there are no class terms. All mass must move: under label shift
    items of one class are laid upon another's. Deviations: of the class terms it is the ℓ1/2-ℓ1 one of Courty
    et al. 2014, which the paper compares with its group lasso; it is not convex, and POT takes ten rounds
    from the plan without it, which at a class_weight of 0.5 and more are not enough to come to rest; labelled
    target items are in the plan twice, once with and once without their label."""

    def __init__(
        self,
        network: Classifier,
        *,
        entropy: float = 0.1,
        class_weight: float = 0.1,
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "domain",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network, classifier, C, scaling, unit_length)
        if entropy <= 0:
            raise RequestError(f"strategy.entropy={entropy}: a value above 0 is needed")
        if class_weight < 0:
            raise RequestError(f"strategy.class_weight={class_weight}: a value of at least 0 is needed")
        self.entropy, self.class_weight = entropy, class_weight

    def adapt(self, items: Items) -> Adapted:
        target = np.concatenate([items.target, items.known])
        if items.labels.dtype.kind == "f":
            return self._moved(ot.da.SinkhornTransport(self.entropy, norm="median"), items.source, Xt=target)
        labels = np.r_[np.full(len(items.target), UNLABELLED), items.known_labels]
        transport = ot.da.SinkhornLpl1Transport(
            self.entropy, self.class_weight, norm="median", limit_max=FORBIDDEN
        )
        return self._moved(transport, items.source, ys=items.labels, Xt=target, yt=labels)

    def _moved(self, transport: ot.da.BaseTransport, source: np.ndarray, **given: np.ndarray) -> Adapted:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            moved = transport.fit(source, **given).transform(source)
        if not np.isfinite(moved).all() or not np.isclose(transport.coupling_.sum(), 1, atol=0.1):
            raise Diverged(
                f"the transport plan is not finite or moves no whole mass: strategy.entropy={self.entropy} "
                "is too small"
            )
        return Adapted(moved)


class LinearOptimalTransport(ShallowAdaptation):
    """source z = A (x - μ_S) + μ_T,  A = C_S^(-1/2) (C_S^(1/2) C_T C_S^(1/2))^(1/2) C_S^(-1/2)   (Flamary et
    al. 2019, eq. 4)

    The optimal transport between the Gaussians with the domains' means μ and covariances C, to whose
    diagonals `regularisation` is added. Like CORAL it gives the source the target's covariance, by the map
    that moves items least. Target items stay where they are. Under label shift the domains' means and
    covariances differ though no class has moved, and it moves all of them."""

    def __init__(
        self,
        network: Classifier,
        regularisation: float = 1.0,
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "domain",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network, classifier, C, scaling, unit_length)
        if regularisation <= 0:
            raise RequestError(f"strategy.regularisation={regularisation}: a value above 0 is needed")
        self.regularisation = regularisation

    def adapt(self, items: Items) -> Adapted:
        transport = ot.da.LinearTransport(reg=self.regularisation).fit(items.source, Xt=items.target)
        return Adapted(items.source @ transport.A_ + transport.B_)
