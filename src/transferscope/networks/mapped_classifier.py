"""A mapping and a classifier or regression behind it, both fitted in closed form, as buffers that a kept
model holds."""

from typing import Literal

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC, SVR
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from transferscope.networks.sized_on_load import SizedOnLoad

ClassifierName = Literal["nearest_neighbour", "svm", "logistic", "ridge", "svr"]
# what those need that do not serve every task
NEEDS = {"svm": "classes", "logistic": "classes", "ridge": "values", "svr": "values"}
UnitLength = Literal["none", "inputs", "outputs", "both"]


class MappedClassifier(SizedOnLoad):
    """(x - mean) / scale, then @ projection, or k(x, anchors) @ projection with k the gaussian kernel of this
    bandwidth, or neither; then one nearest neighbour among `items` (Euclidean; of equals the first), a linear
    SVM (hinge, one class against another, votes: libsvm's) or logistic regression; where numbers are
    predicted, those of the neighbour, ridge regression (half the squared errors) or a linear support vector
    regression (libsvm's, insensitive to a tenth of a standard deviation). C weighs the loss of the linear
    ones against |w|² / 2. unit_length: rows at length 1, after the scaling (inputs), after the mapping
    (outputs). Double precision."""

    mean: Tensor
    scale: Tensor
    anchors: Tensor
    projection: Tensor
    bandwidth: Tensor
    items: Tensor
    weight: Tensor
    bias: Tensor
    labels: Tensor

    def __init__(self, classes: int, classifier: ClassifierName, C: float, unit_length: UnitLength):
        super().__init__()
        self.classes, self.classifier, self.C, self.unit_length = classes, classifier, C, unit_length
        for name in ("mean", "scale", "anchors", "projection", "bandwidth", "items", "weight", "bias"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.int64))

    def remember(self, name: str, value: object) -> None:
        old = getattr(self, name)
        setattr(self, name, torch.as_tensor(np.array(value), dtype=old.dtype, device=old.device))

    def fit(self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> None:
        """The classifier, from mapped inputs [n, k], labels [n], weights [n] of the items' losses, 1 where
        None."""
        if self.classifier == "nearest_neighbour":
            self.remember("items", inputs)
            self.labels = torch.as_tensor(labels, device=self.items.device)
            return
        if NEEDS[self.classifier] == "values":
            self._fit_values(inputs, labels, weights)
            return
        model = (
            SVC(C=self.C, kernel="linear")
            if self.classifier == "svm"
            else LogisticRegression(C=self.C, max_iter=1000)
        )
        model.fit(inputs, labels, weights)
        if len(model.classes_) > 2 or self.classifier == "svm":
            self.remember("weight", model.coef_)
            self.remember("bias", model.intercept_)
        else:
            self.remember("weight", np.r_[-model.coef_, model.coef_] / 2)
            self.remember("bias", np.r_[-model.intercept_, model.intercept_] / 2)

    def forward(self, features: Tensor) -> Tensor:
        """Features of target items [N, d] -> class probabilities [N, C], or values [N, T]"""
        return self.classify(self.mapped(self.unit((features.double() - self.mean) / self.scale, "inputs")))

    def mapped(self, inputs: Tensor) -> Tensor:
        """Scaled items of the target [N, d] -> [N, k]"""
        if len(self.anchors):
            inputs = torch.exp(-torch.cdist(inputs, self.anchors).square() / self.bandwidth)
        return self.unit(inputs @ self.projection if len(self.projection) else inputs, "outputs")

    def classify(self, inputs: Tensor) -> Tensor:
        """Mapped items [N, k] -> class probabilities [N, C], or values [N, T]"""
        if NEEDS.get(self.classifier) == "values":
            return inputs @ self.weight.T + self.bias
        if self.classifier != "nearest_neighbour":
            margins = inputs @ self.weight.T + self.bias  # [N, C], or of the SVM [N, pairs]
            return (margins if self.classifier == "logistic" else self._votes(margins)).softmax(1)
        nearest = (self.items.square().sum(1) - 2 * inputs @ self.items.T).argmin(1)
        found = self.labels[nearest]
        return found.double() if found.is_floating_point() else one_hot(found, self.classes).double()

    def _fit_values(self, inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> None:
        """labels [n, T]; each quantity by itself, in standard deviations."""
        mean, scale = labels.mean(0), labels.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        models = [
            Ridge(alpha=1 / self.C)
            if self.classifier == "ridge"
            else SVR(C=self.C, kernel="linear", epsilon=0.1)
            for _ in mean
        ]
        for model, z in zip(models, ((labels - mean) / scale).T, strict=True):
            model.fit(inputs, z, weights)
        weight, bias = (np.stack([np.ravel(getattr(m, a)) for m in models]) for a in ("coef_", "intercept_"))
        self.remember("weight", weight * scale[:, None])
        self.remember("bias", bias[:, 0] * scale + mean)

    def _votes(self, margins: Tensor) -> Tensor:
        """How many of its pairs each class wins, [N, C]; the margin of a pair of two classes alone is
        positive for the second."""
        first, second = torch.triu_indices(self.classes, self.classes, 1, device=margins.device)
        first, second = (second, first) if self.classes == 2 else (first, second)
        winners = torch.where(margins > 0, first, second)  # [N, pairs]
        return one_hot(winners, self.classes).sum(1).double()

    def unit(self, rows: Tensor, where: str) -> Tensor:
        return normalize(rows, dim=1) if self.unit_length in (where, "both") else rows
