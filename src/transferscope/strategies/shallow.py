"""Shallow adaptation: the features of a frozen backbone, brought together in closed form, and a classifier
fitted to what comes of it."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.closed_form import moments
from transferscope.networks.mapped_classifier import NEEDS, ClassifierName, MappedClassifier, UnitLength
from transferscope.strategies.base import Diverged
from transferscope.strategies.feature_extraction import FittedHead

Scaling = Literal["domain", "source", "none"]


class Items(NamedTuple):
    """Both domains as a method gets them, scaled, in double precision: source [n, d], its labels [n] (values
    [n, T]), all target inputs [m, d]; the labelled ones among these again, known [l, d], with their labels
    [l]."""

    source: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    known: np.ndarray
    known_labels: np.ndarray


class Adapted(NamedTuple):
    """What a method gives: the source's items as the classifier is fitted to them, [n, k], and how a target
    item is mapped there, also one that came later: x @ projection, x as it is where that is None, or k(x,
    anchors) @ projection, k the gaussian kernel of this bandwidth. weights [n]: of the source's items in the
    classifier's loss."""

    source: np.ndarray
    projection: np.ndarray | None = None
    anchors: np.ndarray | None = None
    bandwidth: float | None = None
    weights: np.ndarray | None = None


class ShallowAdaptation(FittedHead):
    """The frame of the shallow methods, each of which writes `adapt`.

    The classifier learns from the source's mapped items and, at a label budget of 1 or more, from the
    labelled target items too. Several sources are one. Evaluated items are mapped as the target's, those of
    the source too; none needs to have been there when the mapping was fitted, so protocol=inductive is as
    good as transductive. Solved in double precision on the CPU.

    classifier, C, unit_length: as `MappedClassifier` has them. scaling: z-scores by each domain's own mean
    and deviation (the target's are those of the unlabelled inputs handed over), by the source's, or none. The
    first is a part of the adaptation, and counts as such beside the baselines, which scale by the source."""

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
            raise RequestError(f"strategy.C={C}: a weight above 0 is needed")
        self.scaling = scaling
        self.needs = self.needs | ({NEEDS[classifier]} if classifier in NEEDS else set())
        self.memory = MappedClassifier(network.head.out_features, classifier, C, unit_length)

    def adapt(self, items: Items) -> Adapted:
        """The mapping of both domains: what a subclass writes."""
        raise NotImplementedError

    def fit_features(self, pools: Pools) -> None:
        known = pools.target and pools.target.inputs
        handed_over = {"source's": pools.source.inputs, "target's": pools.unlabelled, "labelled": known}
        for which, inputs in handed_over.items():
            if inputs is not None and not torch.isfinite(inputs).all():
                raise Diverged(f"a feature of the {which} items is not finite")
        items = self._scaled(pools)
        self.fit_mapped(items, self.adapt(items))

    def fit_mapped(self, items: Items, adapted: Adapted) -> None:
        """Keep the mapping, and fit the classifier to what it makes of the labelled items."""
        for name in ("projection", "anchors", "bandwidth"):
            self.memory.remember(name, [] if getattr(adapted, name) is None else getattr(adapted, name))
        known = self.mapped(items.known).cpu().numpy()
        inputs = np.concatenate(
            [self.memory.unit(torch.from_numpy(adapted.source), "outputs").numpy(), known]
        )
        weights = None if adapted.weights is None else np.r_[adapted.weights, np.ones(len(known))]
        self.memory.fit(inputs, np.concatenate([items.labels, items.known_labels]), weights)

    def predictions(self, features: Tensor) -> Tensor:
        if not len(self.memory.mean):  # before the fit
            return super().predictions(features)
        return self.memory(features).float()

    def mapped(self, items: np.ndarray) -> Tensor:
        """Scaled items of the target [n, d] -> [n, k], where the memory is."""
        return self.memory.mapped(torch.from_numpy(items).to(self.memory.mean.device))

    def _scaled(self, pools: Pools) -> Items:
        source, target = pools.source.inputs.double().cpu(), pools.unlabelled.double().cpu()
        known = pools.target.inputs.double().cpu() if pools.target else target[:0]
        mean, scale = moments(source)
        if self.scaling == "domain":
            for number in pools.source.domain.unique():
                rows = pools.source.domain.cpu() == number
                own_mean, own_scale = moments(source[rows])
                source[rows] = (source[rows] - own_mean) / own_scale
            mean, scale = moments(target)
        elif self.scaling == "source":
            source = (source - mean) / scale
        else:
            mean, scale = torch.zeros_like(mean), torch.ones_like(scale)
        self.memory.remember("mean", mean)
        self.memory.remember("scale", scale)
        source, target, known = (
            self.memory.unit(rows, "inputs").numpy()
            for rows in (source, (target - mean) / scale, (known - mean) / scale)
        )
        labels = pools.source.labels.cpu().numpy()
        known_labels = pools.target.labels.cpu().numpy() if pools.target else labels[:0]
        return Items(source, labels, target, known, known_labels)


class Subspace(ShallowAdaptation):
    """A shallow method on principal components. dimensions: how many, or as many as the smaller domain
    has."""

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
            raise RequestError(f"strategy.dimensions={dimensions}: at least 1 is needed")
        self.dimensions = dimensions
