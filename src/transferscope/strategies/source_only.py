"""Train on the source and use it on the target as it is: the floor of unsupervised adaptation, and the source
model of others."""

from torch import Tensor

from transferscope.strategies.base import Batch, Strategy


class SourceOnly(Strategy):
    """min E_S [ -log p_y(x) ]; several sources are pooled. Its length is `trainer.source_steps`."""

    sees = frozenset({"source_inputs", "source_labels"})
    needs_target_labels = False
    shares_classes = True

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"source": self.task_loss(self.logits(batch.source.inputs), batch.source.labels, "source")}
