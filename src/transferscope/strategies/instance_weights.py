"""Instance weights: joint training in which a source item counts by how much its place looks like the
target's (Shimodaira 2000)."""

import copy

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.networks.linear_fit import fit_standardised
from transferscope.strategies.base import Batch, Strategy


class InstanceWeights(Strategy):
    """min E_T [ -log p_y(x) ] + source_weight * E_S [ w(x) -log p_y(x) ],  w(x) = min(largest, r(x) / E_S r),
    r(x) = P(T | x) / P(S | x)

    r(x) is proportional to p_T(x) / p_S(x) (Bickel, Brückner & Scheffer 2009), so that under covariate shift,
    where p(y | x) is one in both domains, the second term estimates the target's risk (Shimodaira 2000). P(·
    | x) is a logistic regression on the features [N, d] of the network as it starts, standardised, fitted
    once to the source's items and the unlabelled target; it and those features stay fixed while the network
    trains. Weights have mean 1 over the source before those above `largest` are cut, which trades bias for
    variance. With all weights 1 it is `joint`. Where p(y | x) differs it can only know that from where the
    items lie. Deviations: the regression has scikit-learn's penalty, which draws weights towards 1 where
    items are few; with labels in the budget, their cross-entropy is added with weight 1, where the papers
    have none.

    largest: of a weight; at least 1.
    """

    sees = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
    needs_target_labels = False
    shares_classes = True

    def __init__(self, network: Classifier, source_weight: float = 1.0, largest: float = 10.0):
        super().__init__(network)
        if largest < 1:
            raise RequestError(f"strategy.largest={largest}: at least 1 is needed, the mean of the weights")
        self.source_weight, self.largest = source_weight, largest
        self.start = copy.deepcopy(network.backbone).requires_grad_(False)
        self.register_buffer("direction", torch.zeros(network.backbone.features))
        self.register_buffer("offset", torch.zeros(()))

    def fit_features(self, pools: Pools) -> None:
        source, target = (
            in_chunks(self.start.eval(), part, self.device)
            for part in (pools.source.inputs, pools.unlabelled)
        )
        is_target = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()
        weight, bias = fit_standardised(
            LogisticRegression(max_iter=1000), torch.cat([source, target]), is_target
        )  # of the pair (S, T)
        direction, offset = weight[1] - weight[0], bias[1] - bias[0]
        self.direction.copy_(direction)
        self.offset.copy_(
            offset
            - torch.logsumexp(source @ direction + offset, 0)
            + torch.log(torch.tensor(float(len(source))))
        )

    def weights(self, inputs: Tensor) -> Tensor:
        """Source inputs [N, ...] → [N]"""
        with torch.no_grad():
            return torch.exp(self.start.eval()(inputs) @ self.direction + self.offset).clamp(max=self.largest)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        target = [batch.target] if batch.target else []
        *of_target, source = self.logits_of(*(part.inputs for part in (*target, batch.source)))
        loss = self.task_losses(source, batch.source.labels, "source")
        terms = {"source": self.source_weight * (self.weights(batch.source.inputs) * loss).mean()}
        if target:
            terms["target"] = self.task_loss(of_target[0], batch.target.labels)
        return terms

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.parameters())}]}
