"""DELTA (Li et al. 2019, "DELTA: DEep Learning Transfer using feAture Map with Attention", arXiv
1901.09229)."""

import copy

import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.networks.linear_fit import fit_labels, fit_standardised, fit_values
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.tasks.multi_label import MultiLabel
from transferscope.tasks.regression import Regression


class DELTA(FineTuning):
    """min E_T [ -log p_y(x) + α / 2 Σ_j D_j (f_j(x) - f_j⁰(x))² ] + β / 2 |w_head|²   (section 3)

    D = d · softmax over the d channels j of r_j = L(without channel j) - L: by how much the cross-entropy of
    the labelled target items rises when a channel of the starting network f⁰ is taken out, with a classifier
    fitted to f⁰ for it. It is computed once, before the first step. Simplifications: the one layer compared
    is the backbone's output [N, d], a channel being one feature, where the paper sums over several layers
    inside, which no two backbones share; the classifier is a logistic regression on standardised features, or
    one for each of several labels, or where numbers are predicted a ridge regression. f⁰ is in evaluation
    mode. As in the authors' code (github.com/lixingjian/DELTA) there is a factor 1/2, D has mean 1, and the
    optimiser decays no weight.

    standardise: D = d · softmax of (r - mean r) / (5 sd r), as in that code and not in the paper: D then has
    a deviation of about 0.2. The rises themselves are hundredths of a nat, so that without it D is 1 within
    one or two hundredths, and this is one L2 penalty on all features alike. The deviation of D over the
    channels is `attention/sd` in the history.

    alpha: the authors' 0.01 times 64, for their code adds the penalties of a batch of 64 items to the mean
    cross-entropy. So the penalty is of their size per item and channel. (Version 1 had D with sum 1 and alpha
    0.01, some 64 d times less, which did next to nothing; version 2 did not standardise.)"""

    version = 3

    def __init__(
        self, network: Classifier, alpha: float = 0.64, beta: float = 0.01, standardise: bool = True
    ):
        super().__init__(network)
        self.alpha, self.beta, self.standardise = alpha, beta, standardise
        self.start = copy.deepcopy(network.backbone).requires_grad_(False)
        self.register_buffer("attention", torch.zeros(network.backbone.features))

    def fit_features(self, pools: Pools) -> None:
        labels = pools.target.labels.cpu()
        features = in_chunks(self.start.eval(), pools.target.inputs, self.device)  # [n, d]
        if isinstance(self.task, Regression):
            weight, bias = fit_values(Ridge(), features, self.task.standardised(labels))
        elif isinstance(self.task, MultiLabel):
            weight, bias = fit_labels(LogisticRegression(max_iter=1000), features, labels)
        else:
            weight, bias = fit_standardised(LogisticRegression(max_iter=1000), features, labels)
        logits = features @ weight.T + bias  # [n, C]
        without = [
            self.task.loss(logits - torch.outer(features[:, j], weight[:, j]), labels)
            for j in range(features.shape[1])
        ]
        rises = torch.stack(without) - self.task.loss(logits, labels)  # [d]
        if self.standardise:
            rises = (rises - rises.mean()) / (5 * rises.std(correction=0)).clamp_min(1e-12)
        self.attention.copy_(len(rises) * torch.softmax(rises, dim=0))

    def begin_evaluation(self, pools: Pools) -> dict[str, float]:
        return {"attention/sd": float(self.attention.std(correction=0))} if self.attention.any() else {}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features = self.network.backbone(batch.target.inputs)  # [N, d]
        with torch.no_grad():
            start = self.start.eval()(batch.target.inputs)
        return {
            "target": self.task_loss(self.network.head(features), batch.target.labels),
            "features": self.alpha / 2 * ((features - start).square() @ self.attention).mean(),
            "head": self.beta
            / 2
            * sum(parameter.square().sum() for parameter in self.network.head.parameters()),
        }

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [group | {"weight_decay": 0.0} for group in super().parameter_groups()["all"]]}
