"""Nearest neighbours on the features of the transferred backbone: one, or the mean of several."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.feature_extraction import FittedHead


class NearestNeighbour(FittedHead):
    """ŷ(x) = y_i,  i = argmin |f(x) - f(x_i)| over the labelled items, of equals the first   (Cover & Hart
    1967)

    y: class, values, or which labels it has. Its probabilities are 0 and 1: nll and calibration error say
    nothing of it (`calibrated`). The labelled items are kept with the model, as features [n, d] and labels
    [n]; before there are any it predicts by the transferred head."""

    calibrated = False

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.memory = SizedOnLoad()
        self.memory.register_buffer("features", torch.zeros(0, network.backbone.features))
        self.memory.register_buffer("labels", torch.zeros(0, dtype=torch.int64))

    def fit_head(self, features: Tensor, labels: Tensor) -> None:
        self.memory.features, self.memory.labels = features.clone(), labels.clone()

    def predictions(self, features: Tensor) -> Tensor:
        if not len(self.memory.labels):
            return super().predictions(features)
        distances = torch.cdist(
            features, self.memory.features, compute_mode="donot_use_mm_for_euclid_dist"
        )  # [N, n]
        return self.answers(distances)

    def answers(self, distances: Tensor) -> Tensor:
        """[N, n] -> [N, C], or values [N, T]"""
        found = self.memory.labels[distances.argmin(1)]
        if found.is_floating_point():
            return found
        return one_hot(found, self.network.head.out_features).float()


class NearestNeighbours(NearestNeighbour):
    """p(x) = 1/k Σ_i e_{y_i} over the k labelled items whose features are nearest to f(x); of numbers ŷ(x) =
    1/k Σ_i y_i

    k = neighbours, or all labelled items where there are fewer. Its probabilities are shares of k: nll and
    calibration error say little of it (`calibrated`)."""

    def __init__(self, network: Classifier, neighbours: int = 5):
        super().__init__(network)
        if neighbours < 1:
            raise RequestError(f"strategy.neighbours={neighbours}: at least 1 is needed")
        self.neighbours = neighbours

    def answers(self, distances: Tensor) -> Tensor:
        k = min(self.neighbours, distances.shape[1])
        found = self.memory.labels[distances.topk(k, dim=1, largest=False).indices]  # [N, k], or [N, k, T]
        if not found.is_floating_point():
            found = one_hot(found, self.network.head.out_features).float()
        return found.mean(1)
