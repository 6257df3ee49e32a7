"""CORAL, correlation alignment of features (Sun et al. 2016, arXiv 1511.05547)."""

import numpy as np

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.mapped_classifier import ClassifierName, UnitLength
from transferscope.strategies.shallow import Adapted, Items, Scaling, ShallowAdaptation


class CORAL(ShallowAdaptation):
    """source z = Aᵀ x, target z = x,  A = (C_S + λ I)^(-1/2) (C_T + λ I)^(1/2),  C_S and C_T the domains'
    covariances   (algorithm 1)

    λ = regularisation, 1 in the paper. It aligns no means: scaling=domain does, as the paper's z-scores did.
    The paper's classifier is a linear SVM. The covariance of a domain is also that of its classes' shares:
    under label shift it aligns what was aligned, and can lose."""

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
        whiten, colour = self._power(items.source, -0.5), self._power(items.target, 0.5)
        return Adapted(items.source @ (whiten @ colour))

    def _power(self, rows: np.ndarray, exponent: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows, rowvar=False)))
        return vectors * (values.clip(0) + self.regularisation) ** exponent @ vectors.T
