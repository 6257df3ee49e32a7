"""Joint training: labelled source and labelled target together in one loss."""

from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class Joint(Strategy):
    """min E_T [ -log p_y(x) ] + source_weight * E_S [ -log p_y(x) ]: the weighted errors of Ben-David et al.
    2010, Machine Learning 79.

    It takes one rule to fit both domains: where a source's labels say something else, few target labels do
    not outweigh it.

    source_weight: 0 leaves the target alone at equal steps.
    """

    sees = frozenset({"source_inputs", "source_labels", "target_labels"})
    shares_classes = True

    def __init__(self, network: Classifier, source_weight: float = 1.0):
        super().__init__(network)
        self.source_weight = source_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        target, source = self.logits_of(batch.target.inputs, batch.source.inputs)
        return {
            "target": self.task_loss(target, batch.target.labels),
            "source": self.source_weight * self.task_loss(source, batch.source.labels, "source"),
        }
