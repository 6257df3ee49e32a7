"""L2-SP (Li, Grandvalet & Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional
Networks", arXiv 1802.01483)."""

import copy

import torch
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning


class L2SP(FineTuning):
    """min E_T [ -log p_y(x) ] + α / 2 |w_S - w_S⁰|² + β / 2 |w_S̄|²   (L2-SP)

    w_S: the backbone's parameters, biases and those of normalisation layers included; w_S⁰ their values
    before the first step; w_S̄: the head's. It takes the place of the optimiser's weight decay, which is off.
    Deviation: a head that comes along from a source with the same classes decays towards 0 as a new one does,
    where the paper's is always new.

    alpha, beta: those of the authors' experiments on Stanford Dogs.
    """

    def __init__(self, network: Classifier, alpha: float = 0.1, beta: float = 0.01):
        super().__init__(network)
        self.alpha, self.beta = alpha, beta
        self.start = copy.deepcopy(network.backbone).requires_grad_(False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        pairs = zip(self.network.backbone.parameters(), self.start.parameters(), strict=True)
        return {
            "target": self.task_loss(self.logits(batch.target.inputs), batch.target.labels),
            "start": self.alpha
            / 2
            * sum(((now - then).square().sum() for now, then in pairs), torch.zeros(())),
            "head": self.beta
            / 2
            * sum(parameter.square().sum() for parameter in self.network.head.parameters()),
        }

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [group | {"weight_decay": 0.0} for group in super().parameter_groups()["all"]]}
