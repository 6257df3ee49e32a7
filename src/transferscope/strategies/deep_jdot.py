"""DeepJDOT: optimal transport of features and labels together (Damodaran et al. 2018, arXiv 1803.10081),
through POT (https://pythonot.github.io)."""

import ot
import torch
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class DeepJDOT(Adaptation):
    """min over g, f of  E_S [ -log p_y(x) ] + Σ_ij γ_ij ( α |g(x_i) - g(x_j)|² - λ log p_{y_i}(x_j) ),  γ =
    argmin of the same sum   (section 4)

    i: items of the source with their labels y, j: unlabelled items of the target; g(x) [N, d] the backbone, p
    the probabilities by the head f. γ [N, M] is the optimal plan between the two batches, every item of equal
    weight, sums to 1 and is a constant to the gradient. α = feature_weight, λ = label_weight. A plan must
    move all mass: under label shift source items of one class are laid upon target items of another.
    Deviations: the squared distance is divided by the width d, so that one α serves every backbone, and both
    weights are 1 rather than the paper's; a plan between batches of trainer.batch_size matches classes less
    well than one between the paper's large ones; the labelled target items of `Adaptation`."""

    def __init__(self, network: Classifier, feature_weight: float = 1.0, label_weight: float = 1.0):
        super().__init__(network)
        self.feature_weight, self.label_weight = feature_weight, label_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        feature_cost = (
            self.feature_weight
            * torch.cdist(features.source, features.unlabelled).square()
            / features.source.shape[1]
        )  # [N, M]
        label_cost = self.label_weight * self.task.loss_matrix(logits.unlabelled, batch.source.labels)
        plan = transport_plan(feature_cost + label_cost)
        return self.supervised(batch, logits) | {
            "features": (plan * feature_cost).sum(),
            "labels": (plan * label_cost).sum(),
        }


def transport_plan(cost: Tensor) -> Tensor:
    """The plan [N, M] that moves N source items onto M target items, all of equal weight, at the least cost
    [N, M]."""
    # of NaN there is no plan; the terms say so themselves
    values = cost.detach().double().nan_to_num().cpu().numpy()
    return torch.from_numpy(ot.emd([], [], values)).to(cost)
