"""Co-Tuning (You, Kou, Long & Wang 2020, "Co-Tuning for Transfer Learning", NeurIPS 33)."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, softmax

from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning


class CoTuning(FineTuning):
    """min E_T [ -log p_y(x) - λ Σ_s p(s | y) log softmax(G_s f(x))_s ]: the source model's own head G_s is trained on, beside the target's.

    p(s | t) [C, S], how source classes s stand to target classes t, is learnt once before the first step by the paper's reverse approach:
    a logistic regression without intercept from the source model's class probabilities of the labelled target items to their classes gives
    p(t | s) at the corners, and Bayes' rule with p(s), the mean of those probabilities, gives p(s | t). Deviations: no source items are at
    hand to calibrate the source model by, nor any to choose the regression's penalty by (it is scikit-learn's default); all parts have one
    learning rate, where the authors give the target's head ten times that of the others.

    trade_off: λ, the authors' value.
    """

    needs_source_model = True

    def __init__(self, network: Classifier, trade_off: float = 2.3):
        super().__init__(network)
        self.trade_off = trade_off
        head = network.source_head or {"weight": torch.zeros(0, network.backbone.features), "bias": torch.zeros(0)}
        self.source = SizedOnLoad()  # G_s and p(s | t)
        self.source.weight, self.source.bias = nn.Parameter(head["weight"].clone()), nn.Parameter(head["bias"].clone())
        self.source.register_buffer("given_target", torch.zeros(network.head.out_features, len(head["bias"])))

    def fit_features(self, pools: Pools) -> None:
        if int(self.steps_done):  # resumed: the network is no longer the one to learn it from
            return
        self.eval()
        p = in_chunks(lambda inputs: softmax(self.source_logits(self.network.backbone(inputs)), 1), pools.target.inputs, self.device)
        self.train()
        self.source.given_target.copy_(source_given_target(p, pools.target.labels.cpu()))

    def source_logits(self, features: Tensor) -> Tensor:
        return linear(features, self.source.weight, self.source.bias)  # [N, S]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features = self.network.backbone(batch.target.inputs)
        soft = self.source.given_target[batch.target.labels]  # [N, S]
        return {
            "target": self.classification_loss(self.network.head(features), batch.target.labels),
            "source": self.trade_off * cross_entropy(self.source_logits(features), soft),
        }

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [*super().parameter_groups()["all"], {"params": [self.source.weight, self.source.bias]}]}


def source_given_target(p: Tensor, labels: Tensor) -> Tensor:
    """p(s | t) [C, S] from source class probabilities [n, S] of items with target labels [n], every one of the C classes among them.

    Probabilities that are not finite give a table that is not.
    """
    if not torch.isfinite(p).all():
        return torch.full((int(labels.max()) + 1, p.shape[1]), torch.nan)
    regression = LogisticRegression(fit_intercept=False, max_iter=1000).fit(p.double().numpy(), labels.numpy())
    target_given_source = regression.predict_proba(np.eye(p.shape[1]))  # [S, C]
    joint = target_given_source.T * p.double().numpy().mean(0)  # [C, S]
    return torch.from_numpy(joint / joint.sum(1, keepdims=True)).float()
