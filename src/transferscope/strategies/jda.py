"""Joint distribution adaptation (Long et al. 2013, ICCV)."""

import numpy as np
import torch

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.mapped_classifier import ClassifierName, UnitLength
from transferscope.strategies.shallow import Adapted, Items, Scaling
from transferscope.strategies.tca import TCA, Eigenvectors, Kernel, contrast


class JDA(TCA):
    """min over W of tr(Wᵀ K (M_0 + Σ_c M_c) Kᵀ W) + λ |W|²  with  Wᵀ K H Kᵀ W = I   (eq. 8)

    TCA's problem, with the classes' means held against each other beside those of the domains. M_0 = e eᵀ as
    in TCA; M_c = e_c e_cᵀ with 1/n_c on the source's items of class c and -1/m_c on the target's that the
    classifier gives to c, in rounds: the first without M_c, each later one with the classes that the one
    before it gave (algorithm 1). Deviations: those of TCA; the sum of the M is divided by its norm; M_0 may
    have a weight, domain_weight (1 in the equation, the number of classes in the published tables); rows have
    length 1 before and after the mapping (unit_length), as in those tables. The rounds build on the first
    guesses: where these are wrong, as they can be under label shift, they draw the wrong classes together.
    """

    needs = frozenset({"classes"})

    def __init__(
        self,
        network: Classifier,
        *,
        dimensions: int = 100,
        penalty: float = 1.0,
        rounds: int = 10,
        domain_weight: float = 1.0,
        kernel: Kernel = "linear",
        bandwidth: float = 1.0,
        eigenvectors: Eigenvectors = "unit",
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "domain",
        unit_length: UnitLength = "both",
    ):
        super().__init__(
            network,
            dimensions=dimensions,
            penalty=penalty,
            kernel=kernel,
            bandwidth=bandwidth,
            eigenvectors=eigenvectors,
            classifier=classifier,
            C=C,
            scaling=scaling,
            unit_length=unit_length,
        )
        if rounds < 1:
            raise RequestError(f"strategy.rounds={rounds}: at least 1 is needed")
        if domain_weight <= 0:
            raise RequestError(f"strategy.domain_weight={domain_weight}: a value above 0 is needed")
        self.rounds, self.domain_weight = rounds, domain_weight

    def adapt(self, items: Items) -> Adapted:
        n, m, space = len(items.source), len(items.target), self.space(items)
        of_domains = np.sqrt(self.domain_weight) * contrast(n, m)
        contrasts = [of_domains]
        for _ in range(self.rounds):
            adapted = self.solve(space, np.stack(contrasts, axis=1), n)
            guessed = self.guess(items, adapted)
            contrasts = [of_domains]
            for c in np.intersect1d(items.labels, guessed):
                of_source, of_target = items.labels == c, guessed == c
                contrasts.append(np.r_[of_source / of_source.sum(), of_target / -of_target.sum()])
        return adapted

    def guess(self, items: Items, adapted: Adapted) -> np.ndarray:
        """The classes [m] that the classifier gives the target's items under a mapping."""
        self.fit_mapped(items, adapted)
        with torch.no_grad():
            return self.memory.classify(self.mapped(items.target)).argmax(1).cpu().numpy()
