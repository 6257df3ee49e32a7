"""Co-Tuning (You, Kou, Long & Wang 2020, "Co-Tuning for Transfer Learning", NeurIPS 33)."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as softmax_of_rows
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, softmax

from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning

FEW, FOLDS = 10, 5
CS = np.logspace(-4, 4, 9)
LOG_SHARPNESS = (-3.0, 3.0)  # of the inverse temperature


class CoTuning(FineTuning):
    """min E_T [ -log p_y(x) - λ Σ_s p(s | y) log softmax(G_s f(x))_s ]: the source model's own head G_s is
    trained on, beside the target's.

    p(s | t) [C, S], how source classes s stand to target classes t, is learnt once before the first step by
    the paper's reverse approach: a logistic regression without intercept from the source model's class
    probabilities of the labelled target items to their classes gives p(t | s) at the corners, and Bayes' rule
    with p(s), the mean of those probabilities, gives p(s | t). Its C of 1e-4 … 1e4 and a temperature for its
    logits are those of least cross-entropy in five folds of these items. With fewer than ten of a class p(s |
    t) is the direct approach, the mean of those probabilities over the class. Deviations: folds of the
    training labels choose, where the authors hold out a validation set of the target's; the source model
    itself is not calibrated, for no source items are at hand; all parts have one learning rate, where the
    authors give the target's head ten times that of the others.

    trade_off: λ, the authors' value.
    """

    needs = frozenset({"classes"})
    version = 2

    needs_source_model = True

    def __init__(self, network: Classifier, trade_off: float = 2.3):
        super().__init__(network)
        self.trade_off = trade_off
        head = network.source_head or {
            "weight": torch.zeros(0, network.backbone.features),
            "bias": torch.zeros(0),
        }
        self.source = SizedOnLoad()  # G_s and p(s | t)
        self.source.weight = nn.Parameter(head["weight"].clone())
        self.source.bias = nn.Parameter(head["bias"].clone())
        self.source.register_buffer("given_target", torch.zeros(network.head.out_features, len(head["bias"])))

    def fit_features(self, pools: Pools) -> None:
        if int(self.steps_done):  # resumed: the network is no longer the one to learn it from
            return
        self.eval()
        p = in_chunks(
            lambda inputs: softmax(self.source_logits(self.network.backbone(inputs)), 1),
            pools.target.inputs,
            self.device,
        )
        self.train()
        self.source.given_target.copy_(source_given_target(p, pools.target.labels.cpu()))

    def source_logits(self, features: Tensor) -> Tensor:
        return linear(features, self.source.weight, self.source.bias)  # [N, S]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features = self.network.backbone(batch.target.inputs)
        soft = self.source.given_target[batch.target.labels]  # [N, S]
        return {
            "target": self.task_loss(self.network.head(features), batch.target.labels),
            "source": self.trade_off * cross_entropy(self.source_logits(features), soft),
        }

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {
            "all": [*super().parameter_groups()["all"], {"params": [self.source.weight, self.source.bias]}]
        }


def source_given_target(p: Tensor, labels: Tensor) -> Tensor:
    """p(s | t) [C, S] from source class probabilities [n, S] of items with target labels [n], every one of
    the C classes among them.

    Probabilities that are not finite give a table that is not.
    """
    x, y = p.double().numpy(), labels.numpy()
    if np.bincount(y).min() < FEW or not np.isfinite(x).all():
        return torch.stack([p[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    regression, sharpness = reverse_regression(x, y)
    # of the corners: p(t | s) but for its norm, [S, C]
    log_p = sharpness * regression.predict_log_proba(np.eye(x.shape[1]))
    joint = softmax_of_rows(log_p, axis=1).T * x.mean(0)  # [C, S]
    return torch.from_numpy(joint / joint.sum(1, keepdims=True)).float()


def reverse_regression(x: np.ndarray, y: np.ndarray) -> tuple[LogisticRegression, float]:
    """The regression [n, S] → classes [n], fitted to all items, and the inverse temperature of its logits.
    Nothing in it is random."""

    def loss(logarithm: float, log_p: np.ndarray) -> float:
        return -log_softmax(np.exp(logarithm) * log_p, axis=1)[np.arange(len(y)), y].mean()

    choices = []
    for C in CS:
        regression = LogisticRegression(C=C, fit_intercept=False, max_iter=1000)
        log_p = cross_val_predict(
            regression, x, y, cv=StratifiedKFold(FOLDS), method="predict_log_proba"
        )  # [n, C]
        best = minimize_scalar(loss, bounds=LOG_SHARPNESS, args=(log_p,), method="bounded")
        choices.append((best.fun, best.x, regression))
    _, logarithm, regression = min(choices, key=lambda choice: choice[0])
    return regression.fit(x, y), float(np.exp(logarithm))
