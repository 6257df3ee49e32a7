"""Feature extraction (linear probe): the transferred backbone stays as it is, a linear head is trained on its features."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.strategies.base import Batch, Strategy


class FeatureExtraction(Strategy):
    """min over the head W of E_T [ -log softmax(W f(x))_y ], f fixed: its normalisation statistics too. f(x) is computed once an item."""

    sees = frozenset({"target_labels"})

    def __init__(self, network: Classifier):
        super().__init__(network)
        network.backbone.requires_grad_(False)

    def precompute(self, inputs: Tensor) -> Tensor:
        return in_chunks(self.network.backbone.eval(), inputs, self.device)  # [N, d]

    def logits(self, features: Tensor) -> Tensor:
        return self.network.head(features)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"target": cross_entropy(self.logits(batch.target.inputs), batch.target.labels)}

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.head.parameters())}]}
