"""Shallow adaptation: the features of a frozen backbone, brought together in closed form, and a classifier fitted to what comes of it."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from transferscope.data.splits import Pools
from transferscope.errors import Refused
from transferscope.networks.classifier import Classifier
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.base import Diverged
from transferscope.strategies.feature_extraction import FittedHead

ClassifierName = Literal["nearest_neighbour", "svm", "logistic"]
Scaling = Literal["domain", "source", "none"]
UnitLength = Literal["none", "inputs", "outputs", "both"]


class Items(NamedTuple):
    """Both domains as a method gets them, scaled, in double precision: source [n, d], its labels [n], all target inputs [m, d]; the labelled
    ones among these again, known [l, d], with their labels [l]."""

    source: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    known: np.ndarray
    known_labels: np.ndarray


class Adapted(NamedTuple):
    """What a method gives: the source's items as the classifier is fitted to them, [n, k], and how a target item is mapped there, also one that
    came later: x @ projection, x as it is where that is None, or k(x, anchors) @ projection, k the gaussian kernel of this bandwidth. weights
    [n]: of the source's items in the classifier's loss."""

    source: np.ndarray
    projection: np.ndarray | None = None
    anchors: np.ndarray | None = None
    bandwidth: float | None = None
    weights: np.ndarray | None = None


class ShallowAdaptation(FittedHead):
    """The frame of the shallow methods, each of which writes `adapt`.

    The classifier learns from the source's mapped items and, at a label budget of 1 or more, from the labelled target items too. Several
    sources are one. Evaluated items are mapped as the target's, those of the source too; none needs to have been there when the mapping was
    fitted, so protocol=inductive is as good as transductive. Solved in double precision on the CPU.

    classifier: nearest_neighbour (one, Euclidean; of equals the first), svm (linear, hinge, one class against another, votes: libsvm's) or
    logistic regression; C weighs the loss of the latter two against |w|² / 2. scaling: z-scores by each domain's own mean and deviation (the
    target's are those of the unlabelled inputs handed over), by the source's, or none. The first is a part of the adaptation, and counts as
    such beside the baselines, which scale by the source. unit_length: rows at length 1, after the scaling (inputs), after the mapping (outputs).
    """

    sees = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
    needs_target_labels = False
    shares_classes = True
    calibrated = False

    def __init__(
        self,
        network: Classifier,
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "domain",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network)
        if C <= 0:
            raise Refused(f"strategy.C={C}: a weight above 0 is needed")
        self.classifier, self.C, self.scaling, self.unit_length = classifier, C, scaling, unit_length
        self.memory = SizedOnLoad()
        for name in ("mean", "scale", "anchors", "projection", "bandwidth", "items", "weight", "bias"):
            self.memory.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.memory.register_buffer("labels", torch.zeros(0, dtype=torch.int64))

    def adapt(self, items: Items) -> Adapted:
        """The mapping of both domains: what a subclass writes."""
        raise NotImplementedError

    def fit_features(self, pools: Pools) -> None:
        for which, pool in (("source's", pools.source.inputs), ("target's", pools.unlabelled), ("labelled", pools.target and pools.target.inputs)):
            if pool is not None and not torch.isfinite(pool).all():
                raise Diverged(f"a feature of the {which} items is not finite")
        items = self._scaled(pools)
        self.fit_mapped(items, self.adapt(items))

    def fit_mapped(self, items: Items, adapted: Adapted) -> None:
        """Keep the mapping, and fit the classifier to what it makes of the labelled items."""
        for name in ("projection", "anchors", "bandwidth"):
            self._remember(name, [] if getattr(adapted, name) is None else getattr(adapted, name))
        known = self.mapped(items.known).cpu().numpy()
        inputs = np.concatenate([self._unit(torch.from_numpy(adapted.source), "outputs").numpy(), known])
        weights = None if adapted.weights is None else np.r_[adapted.weights, np.ones(len(known))]
        self.fit_classifier(inputs, np.r_[items.labels, items.known_labels], weights)

    def fit_classifier(self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> None:
        """inputs [n, k], labels [n], weights [n] of the items' losses, 1 where None."""
        if self.classifier == "nearest_neighbour":
            self._remember("items", inputs)
            self._remember("labels", labels)
            return
        model = SVC(C=self.C, kernel="linear") if self.classifier == "svm" else LogisticRegression(C=self.C, max_iter=1000)
        model.fit(inputs, labels, weights)
        if len(model.classes_) > 2 or self.classifier == "svm":
            self._remember("weight", model.coef_)
            self._remember("bias", model.intercept_)
        else:
            self._remember("weight", np.r_[-model.coef_, model.coef_] / 2)
            self._remember("bias", np.r_[-model.intercept_, model.intercept_] / 2)

    def classify(self, inputs: Tensor) -> Tensor:
        """Mapped items [N, k] -> class probabilities [N, C]"""
        memory = self.memory
        if self.classifier != "nearest_neighbour":
            margins = inputs @ memory.weight.T + memory.bias  # [N, C], or of the SVM [N, pairs]
            return (margins if self.classifier == "logistic" else self._votes(margins)).softmax(1)
        nearest = (memory.items.square().sum(1) - 2 * inputs @ memory.items.T).argmin(1)
        return one_hot(memory.labels[nearest], self.network.head.out_features).double()

    def _votes(self, margins: Tensor) -> Tensor:
        """How many of its pairs each class wins, [N, C]; the margin of a pair of two classes alone is positive for the second."""
        classes = self.network.head.out_features
        first, second = torch.triu_indices(classes, classes, 1, device=margins.device)
        first, second = (second, first) if classes == 2 else (first, second)
        winners = torch.where(margins > 0, first, second)  # [N, pairs]
        return one_hot(winners, classes).sum(1).double()

    def probabilities(self, features: Tensor) -> Tensor:
        if not len(self.memory.mean):  # before the fit
            return super().probabilities(features)
        features = (features.double() - self.memory.mean) / self.memory.scale
        return self.classify(self._mapped(self._unit(features, "inputs"))).float()

    def mapped(self, items: np.ndarray) -> Tensor:
        """Scaled items of the target [n, d] -> [n, k], where the memory is."""
        return self._mapped(torch.from_numpy(items).to(self.memory.mean.device))

    def _mapped(self, inputs: Tensor) -> Tensor:
        """Scaled items of the target [N, d] -> [N, k]"""
        memory = self.memory
        if len(memory.anchors):
            inputs = torch.exp(-torch.cdist(inputs, memory.anchors).square() / memory.bandwidth)
        return self._unit(inputs @ memory.projection if len(memory.projection) else inputs, "outputs")

    def _unit(self, rows: Tensor, where: str) -> Tensor:
        return normalize(rows, dim=1) if self.unit_length in (where, "both") else rows

    def _remember(self, name: str, value: object) -> None:
        old = getattr(self.memory, name)
        setattr(self.memory, name, torch.as_tensor(np.array(value), dtype=old.dtype, device=old.device))

    def _scaled(self, pools: Pools) -> Items:
        source, target = pools.source.inputs.double().cpu(), pools.unlabelled.double().cpu()
        known = pools.target.inputs.double().cpu() if pools.target else target[:0]
        mean, scale = _moments(source)
        if self.scaling == "domain":
            for number in pools.source.domain.unique():
                rows = pools.source.domain.cpu() == number
                own_mean, own_scale = _moments(source[rows])
                source[rows] = (source[rows] - own_mean) / own_scale
            mean, scale = _moments(target)
        elif self.scaling == "source":
            source = (source - mean) / scale
        else:
            mean, scale = torch.zeros_like(mean), torch.ones_like(scale)
        self._remember("mean", mean)
        self._remember("scale", scale)
        scaled = (self._unit(rows, "inputs").numpy() for rows in (source, (target - mean) / scale, (known - mean) / scale))
        source, target, known = scaled
        known_labels = pools.target.labels.cpu().numpy() if pools.target else np.zeros(0, dtype=np.int64)
        return Items(source, pools.source.labels.cpu().numpy(), target, known, known_labels)


class Subspace(ShallowAdaptation):
    """A shallow method on principal components. dimensions: how many, or as many as the smaller domain has."""

    def __init__(
        self,
        network: Classifier,
        dimensions: int = 30,
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "domain",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network, classifier, C, scaling, unit_length)
        if dimensions < 1:
            raise Refused(f"strategy.dimensions={dimensions}: at least 1 is needed")
        self.dimensions = dimensions


def _moments(items: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature; a constant one keeps its scale."""
    scale = items.std(0, correction=0)
    return items.mean(0), torch.where(scale > 0, scale, torch.ones_like(scale))


def principal_axes(items: np.ndarray, dimensions: int) -> np.ndarray:
    """The directions of largest variance, [d, k], k = `dimensions` or as many as there are, orthonormal."""
    _, vectors = np.linalg.eigh(np.cov(items, rowvar=False, bias=True))
    rank = min(dimensions, len(items) - 1, items.shape[1])
    return vectors[:, ::-1][:, :rank]


def gaussian_kernel(items: np.ndarray, bandwidth: float) -> tuple[np.ndarray, float]:
    """exp(-|x - y|² / b) of all pairs, [N, d] -> [N, N], and b: `bandwidth` times the median squared distance of distinct pairs; times their
    mean where more than half of them coincide."""
    items = items - items.mean(0)  # |x|² + |y|² - 2 x·y loses digits far from the origin
    norms = (items**2).sum(1)
    squared = (norms[:, None] + norms - 2 * (items @ items.T)).clip(0)
    np.fill_diagonal(squared, 0)
    pairs = squared[np.triu_indices(len(items), 1)]
    bandwidth *= float(np.median(pairs) or pairs.mean() or 1.0)
    return np.exp(-squared / bandwidth), bandwidth
