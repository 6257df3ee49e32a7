"""AaD: attracting what lies near and dispersing the rest, from a source model without the source (Yang et al.
2022, arXiv 2205.04183)."""

import copy

import torch
from torch import Tensor
from torch.nn.functional import normalize, softmax

from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.strategies.base import Batch, Strategy


class AaD(Strategy):
    """min E_U [ -Σ_{j near x} p(x)·p_j + λ Σ_{m ≠ x in the batch} p(x)·p(m) ],  λ = (1 + 10 t)^(-β)
    (section 3.2)

    near x: the `neighbours` items of the whole unlabelled pool whose features lie nearest by cosine, x itself
    left out; p_j their predictions, which no gradient reaches; t the share of steps done. The first term
    makes neighbours one class and sure of it, the second keeps the items of a batch apart. It is a sum over
    the batch: the fewer classes there are the more it weighs, and it asks for equal class shares. All weights
    are trained, the head's too. Deviations: features and p_j of the pool are those of the network as it was
    when the evaluation interval began, where the paper renews them with each batch; the source model is the
    one that all strategies share here, without label smoothing, bottleneck or weight normalisation; with
    labels in the budget, their cross-entropy is added with weight 1.

    neighbours, decay (β): the paper chooses both by data set; 3 and 1 are ours. t is taken of the training's
    steps."""

    needs = frozenset({"classes"})
    sees = frozenset({"target_inputs", "target_labels"})
    needs_target_labels = False
    needs_source_model = True
    shares_classes = True

    def __init__(self, network: Classifier, neighbours: int = 3, decay: float = 1.0):
        super().__init__(network)
        if neighbours < 1 or decay < 0:
            raise RequestError(
                f"strategy.neighbours={neighbours} strategy.decay={decay}: at least 1 and at least 0 are "
                "needed"
            )
        self.neighbours, self.decay = neighbours, decay
        # the features by which neighbours are found
        self.teacher = copy.deepcopy(network.backbone).requires_grad_(False)

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.parameters())}]}

    def begin_interval(self, pools: Pools) -> None:
        self.teacher.load_state_dict(self.network.backbone.state_dict())
        features = in_chunks(self.teacher.eval(), pools.unlabelled, self.device).to(self.network.head.weight)
        with torch.no_grad():
            self.pool_predictions = softmax(self.network.head(features), dim=1)  # [n, C]
        self.pool_features = normalize(features, dim=1)  # [n, d]

    def near(self, inputs: Tensor) -> Tensor:
        """Σ p_j over the neighbours of each item: [N, C]. The nearest of all is the item itself."""
        with torch.no_grad():
            cosines = normalize(self.teacher.eval()(inputs), dim=1) @ self.pool_features.T  # [N, n]
            places = cosines.topk(min(self.neighbours + 1, cosines.shape[1]), dim=1).indices[:, 1:]
        return self.pool_predictions[places].sum(1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        labelled = [batch.target.inputs] if batch.target else []
        logits, *labelled_logits = self.logits_of(batch.unlabelled, *labelled)
        p = softmax(logits, dim=1)
        alike = p @ p.T
        terms = {
            "attraction": -(p * self.near(batch.unlabelled)).sum(1).mean(),
            "dispersion": (1 + 10 * self.progress) ** -self.decay * (alike.sum() - alike.trace()) / len(p),
        }
        if labelled:
            terms["target"] = self.task_loss(labelled_logits[0], batch.target.labels)
        return terms
