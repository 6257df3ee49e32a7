"""SHOT: the source model adapted without the source, by information maximisation and pseudo-labels (Liang et
al. 2020, arXiv 2002.08546)."""

import copy

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot, softmax

from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.networks.entropy import entropy
from transferscope.strategies.base import Batch, Strategy


class SHOT(Strategy):
    """min over g of  E_U [ H(p(x)) ] + Σ_c p̄_c log p̄_c + β E_U [ -log p_ŷ(x) ]   (sections 3.2 and 3.3)

    g(x) [N, d] is the backbone, p(x) the probabilities by the source model's head, which is frozen; p̄ their
    mean over a batch. The pseudo-labels ŷ are those of the nearest centroid by cosine, computed twice, of the
    whole unlabelled pool and of g as it was when the evaluation interval began. β = pseudo_label_weight. The
    second term asks for equal class shares: rare classes are made too large. Deviations: the source model is
    the one that all strategies share here, without label smoothing, bottleneck or weight normalisation; the
    centroids are the paper's, where the authors' code appends a 1 to g(x) and brings it to length 1 first,
    and in the first round lets no class in that is nobody's most probable one; pseudo-labels are renewed at
    every evaluation interval, not epoch; with labels in the budget, their cross-entropy is added with weight
    1."""

    needs = frozenset({"classes"})
    sees = frozenset({"target_inputs", "target_labels"})
    needs_target_labels = False
    needs_source_model = True
    shares_classes = True

    def __init__(self, network: Classifier, pseudo_label_weight: float = 0.3):
        super().__init__(network)
        self.pseudo_label_weight = pseudo_label_weight
        # labels items by what g was: a batch does not say which they are
        self.teacher = copy.deepcopy(network.backbone).requires_grad_(False)
        self.register_buffer(
            "centroids", torch.zeros(network.head.out_features, network.backbone.features)
        )  # [C, d], of length 1 or 0

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.backbone.parameters())}]}

    def begin_interval(self, pools: Pools) -> None:
        self.teacher.load_state_dict(self.network.backbone.state_dict())
        features = in_chunks(self.teacher.eval(), pools.unlabelled, self.device).to(self.device)  # [n, d]
        with torch.no_grad():
            self.centroids.copy_(centroids(features, softmax(self.network.head(features), dim=1)))
            self.centroids.copy_(
                centroids(features, one_hot(self.nearest(features), len(self.centroids)).to(features))
            )

    def nearest(self, features: Tensor) -> Tensor:
        """[N, d] → the class [N] of the nearest centroid by cosine, of the classes that have one."""
        cosines = normalize(features, dim=1) @ self.centroids.T  # [N, C]
        return cosines.masked_fill(~self.centroids.any(1), -torch.inf).argmax(1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        labelled = [batch.target.inputs] if batch.target else []
        logits, *labelled_logits = self.logits_of(batch.unlabelled, *labelled)
        mean = softmax(logits, dim=1).mean(0).clamp_min(1e-12)  # [C]
        pseudo_labels = self.nearest(self.teacher.eval()(batch.unlabelled))
        terms = {
            "entropy": entropy(logits).mean(),
            "diversity": (mean * mean.log()).sum(),
            "pseudo_labels": self.pseudo_label_weight * cross_entropy(logits, pseudo_labels),
        }
        if labelled:
            terms["target"] = self.task_loss(labelled_logits[0], batch.target.labels)
        return terms


def centroids(features: Tensor, weights: Tensor) -> Tensor:
    """Weighted means of features [n, d] by class, weights [n, C], brought to length 1: [C, d]; 0 for a class
    without items."""
    return normalize(weights.T @ features, dim=1)
