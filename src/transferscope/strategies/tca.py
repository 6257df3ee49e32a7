"""Transfer component analysis (Pan et al. 2011, IEEE Transactions on Neural Networks 22)."""

import sys
from typing import Literal, NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.closed_form import gaussian_kernel
from transferscope.networks.mapped_classifier import ClassifierName, UnitLength
from transferscope.strategies.shallow import Adapted, Items, Scaling, ShallowAdaptation

Kernel = Literal["gaussian", "linear", "primal"]
Eigenvectors = Literal["unit", "whitened"]
SAME_MEANS = 1e-8  # |Bᵀ e| / |B| below which the difference of the means is rounding


class TCA(ShallowAdaptation):
    """z = Wᵀ k(x),  W = argmax of tr((Wᵀ (K L K + μ I) W)^(-1) Wᵀ K H K W): the leading eigenvectors of K H K
    w = ρ (K L K + μ I) w   (eq. 12)

    K the kernel of the n + m items of both domains, k(x) that of an item with them, H the centring, L = e eᵀ
    with e = 1/n on the source and -1/m on the target, so that tr(Wᵀ K L K W) is the distance of the domains'
    means. kernel: gaussian, exp(-|x - y|² / (bandwidth times the median squared distance)); linear, x · y;
    primal puts the features themselves in the place of K, the common form without a kernel. Deviations: L is
    divided by its norm, so that one μ serves every number of items (the paper's is μ (1/n + 1/m));
    eigenvectors have length 1, as in most published tables, where the paper's constraint gives every
    component the variance 1 (eigenvectors=whitened). Under label shift the means lie apart along the very
    directions that tell the classes, and few components leave those out.

    scaling=domain puts both domains' means at 0. There a linear or primal kernel has K L K = 0: principal
    components weighted by their variance, whatever μ, which is what many published tables call TCA; a line on
    stderr says so. The gaussian kernel sees more than the means and has something left to do. It takes memory
    for (n + m)² numbers."""

    def __init__(
        self,
        network: Classifier,
        *,
        dimensions: int = 30,
        penalty: float = 1.0,
        kernel: Kernel = "gaussian",
        bandwidth: float = 1.0,
        eigenvectors: Eigenvectors = "unit",
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "domain",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network, classifier, C, scaling, unit_length)
        for key, value in (("dimensions", dimensions), ("penalty", penalty), ("bandwidth", bandwidth)):
            if value <= 0:
                raise RequestError(f"strategy.{key}={value}: a value above 0 is needed")
        self.dimensions, self.penalty, self.eigenvectors = dimensions, penalty, eigenvectors
        self.kernel, self.bandwidth = kernel, bandwidth

    def adapt(self, items: Items) -> Adapted:
        space, e = self.space(items), contrast(len(items.source), len(items.target))
        if np.linalg.norm(space.base.T @ e) < SAME_MEANS * np.linalg.norm(space.base):
            print(
                f"warning: strategy=tca: with kernel={self.kernel} and scaling={self.scaling} the domains' "
                "means are the same already: nothing is transferred and strategy.penalty has no effect; "
                "strategy.kernel=gaussian or scaling=source leave something to do",
                file=sys.stderr,
            )
        return self.solve(space, e[:, None], len(items.source))

    def space(self, items: Items) -> "Space":
        pooled = np.concatenate([items.source, items.target])
        if self.kernel == "primal":
            return Space(pooled)
        if self.kernel == "linear":
            axes = weighted_axes(pooled)
            return Space(pooled @ axes, axes)
        kernel, bandwidth = gaussian_kernel(pooled, self.bandwidth)
        return Space(kernel, None, pooled, bandwidth)

    def solve(self, space: "Space", contrasts: np.ndarray, n: int) -> Adapted:
        """contrasts [n + m, r] in the place of e; n: the source's items, which come first."""
        # the norm of their outer products' sum is then 1
        contrasts = contrasts / np.sqrt(np.linalg.norm(contrasts.T @ contrasts))
        w = transfer_components(space.base, contrasts, self.penalty, self.dimensions)
        if self.eigenvectors == "whitened":
            w = w / np.linalg.norm((space.base - space.base.mean(0)) @ w, axis=0)
        projection = w if space.axes is None else space.axes @ w
        return Adapted(space.base[:n] @ w, projection, space.anchors, space.bandwidth)


class Space(NamedTuple):
    """What stands for K: base [n + m, p], one row an item, and how that row is made of an item: x, x @ axes,
    or the kernel with anchors."""

    base: np.ndarray
    axes: np.ndarray | None = None
    anchors: np.ndarray | None = None
    bandwidth: float | None = None


def weighted_axes(pooled: np.ndarray) -> np.ndarray:
    """V S of X = U S Vᵀ. The w of the linear kernel X Xᵀ = (X V S) Uᵀ lie in the span of U, and |U w| = |w|:
    so X V S, with no more columns than there are features, has the same components as the kernel."""
    if pooled.shape[1] <= len(pooled):
        values, axes = np.linalg.eigh(pooled.T @ pooled)
        return axes * np.sqrt(values.clip(0))
    _, lengths, axes = np.linalg.svd(pooled, full_matrices=False)
    return axes.T * lengths


def contrast(source: int, target: int) -> np.ndarray:
    """e [n + m], so that e · f is the difference of the domains' means of f"""
    return np.r_[np.full(source, 1 / source), np.full(target, -1 / target)]


def transfer_components(
    base: np.ndarray, contrasts: np.ndarray, penalty: float, dimensions: int
) -> np.ndarray:
    """The leading w, [p, k], of length 1, of  Bᵀ H B w = ρ (Bᵀ V Vᵀ B + penalty I) w,  B = base [n, p], V =
    contrasts [n, r].

    V has few columns (one in TCA), so the root of the right side is known: (μ I + U Uᵀ)^(-1/2) = (I - Q Qᵀ) /
    √μ + Q (μ I + S²)^(-1/2) Qᵀ, with Bᵀ V = U = Q S Rᵀ. What is left is a symmetric problem; both sides are
    never multiplied into one that is not."""
    q, s, _ = np.linalg.svd(base.T @ contrasts, full_matrices=False)
    change = (penalty + s**2) ** -0.5 - penalty**-0.5

    def root(x: np.ndarray) -> np.ndarray:
        return penalty**-0.5 * x + q @ (change * (q.T @ x).T).T

    centred = base - base.mean(0)
    size = centred.shape[1]
    k = min(dimensions, size, len(base) - 1)
    if k < size // 20:  # Lanczos, from a start that is always the same

        def product(x: np.ndarray) -> np.ndarray:
            return root(centred.T @ (centred @ root(x)))

        operator = LinearOperator((size, size), matvec=product, dtype=float)
        _, vectors = eigsh(operator, k, v0=np.random.default_rng(0).normal(size=size))
    else:
        half = root(centred.T)
        _, vectors = eigh(half @ half.T, subset_by_index=(size - k, size - 1))
    w = root(vectors[:, ::-1])
    return w / np.linalg.norm(w, axis=0)
