"""Nearest class mean on the features of the transferred backbone."""

import torch
from torch import Tensor

from transferscope.strategies.feature_extraction import FittedHead


class NearestMean(FittedHead):
    """p_c(x) = softmax over c of -|f(x) - μ_c|², μ_c the mean of the features of class c
    (Snell et al. 2017, arXiv 1703.05175, section 2.2)

    Written as the linear head it is: 2 μ_c f(x) - |μ_c|², the part |f(x)|² being the same for all classes
    (their section 2.4). Deviation: the paper trains f for this. Features have whatever scale the backbone
    gives them, so the probabilities are as sharp as that scale has it (`calibrated`)."""

    needs = frozenset({"classes"})
    calibrated = False

    def fit_head(self, features: Tensor, labels: Tensor) -> None:
        means = torch.stack(
            [features[labels == c].double().mean(0) for c in range(self.network.head.out_features)]
        )  # [C, d]
        self.set_head(2 * means, -means.square().sum(1))
