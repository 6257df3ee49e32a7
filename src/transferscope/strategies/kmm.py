"""Kernel mean matching (Huang et al. 2006, NIPS): source items weighted as the target would have them."""

import numpy as np

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.closed_form import gaussian_kernel
from transferscope.networks.mapped_classifier import ClassifierName, UnitLength
from transferscope.strategies.shallow import Adapted, Items, Scaling, ShallowAdaptation


class KernelMeanMatching(ShallowAdaptation):
    """min over β of ½ βᵀ K β - κᵀ β,  κ_i = n/m Σ_j k(x_i, t_j),  0 ≤ β_i ≤ bound,  |Σ β_i - n| ≤ n (√n -
    1)/√n   (eq. 11)

    K the gaussian kernel of the n source items x, t the m target items: the weighted mean of the source in
    the kernel's space comes as near to the target's as weights can bring it. β weighs the source's items in
    the classifier's loss, or the regression's. Labelled target items have the weight 1. It corrects a shift
    of the inputs' density where the source has items wherever the target has them, and no other: where p(y |
    x) differs it trusts most the items that mislead. Both domains are scaled by the source's moments:
    z-scores of each by its own would take away the very shift that the weights are for. bandwidth: in units
    of the median squared distance."""

    def __init__(
        self,
        network: Classifier,
        *,
        bandwidth: float = 1.0,
        bound: float = 1000.0,
        classifier: ClassifierName = "svm",
        C: float = 1.0,
        scaling: Scaling = "source",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network, classifier, C, scaling, unit_length)
        if classifier == "nearest_neighbour":
            raise RequestError(
                "strategy.classifier=nearest_neighbour: weights of items are nothing to it; allowed: svm, "
                "logistic, ridge, svr"
            )
        for key, value in (("bandwidth", bandwidth), ("bound", bound)):
            if value <= 0:
                raise RequestError(f"strategy.{key}={value}: a value above 0 is needed")
        self.bandwidth, self.bound = bandwidth, bound

    def adapt(self, items: Items) -> Adapted:
        n = len(items.source)
        kernel, _ = gaussian_kernel(np.concatenate([items.source, items.target]), self.bandwidth)
        kappa = n * kernel[:n, n:].mean(1)
        return Adapted(
            items.source,
            weights=matching_weights(kernel[:n, :n], kappa, self.bound, (np.sqrt(n) - 1) / np.sqrt(n)),
        )


def matching_weights(
    kernel: np.ndarray, kappa: np.ndarray, bound: float, slack: float, steps: int = 10_000
) -> np.ndarray:
    """argmin over β [n] of ½ βᵀ K β - κᵀ β,  0 ≤ β ≤ bound, |Σ β - n| ≤ n slack: projected gradients with
    momentum, taken back where it climbs."""
    n = len(kappa)
    low, high = n * max(1 - slack, 0), min(n * (1 + slack), n * bound)
    rate = 1 / np.linalg.eigvalsh(kernel)[-1]
    beta = ahead = project(np.ones(n), bound, low, high)
    momentum = 1.0
    for _ in range(steps):
        following = project(ahead - rate * (kernel @ ahead - kappa), bound, low, high)
        step = following - beta
        if (ahead - following) @ step > 0:
            momentum = 1.0  # momentum carries it uphill
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / grown * step
        beta, momentum = following, grown
        if np.abs(step).max() < 1e-8 * max(1.0, np.abs(beta).max()):
            break
    return beta


def project(values: np.ndarray, bound: float, low: float, high: float) -> np.ndarray:
    """The nearest point [n] of 0 ≤ β ≤ bound, low ≤ Σ β ≤ high: a common shift, found by halving."""
    inside = values.clip(0, bound)
    if low <= inside.sum() <= high:
        return inside
    goal = low if inside.sum() < low else high
    left, right = -values.max() - 1, bound - values.min() + 1  # of the shift: all at 0, all at the bound
    for _ in range(100):
        middle = (left + right) / 2
        left, right = (middle, right) if (values + middle).clip(0, bound).sum() < goal else (left, middle)
    return (values + right).clip(0, bound)
