"""Train on the labelled target alone: A(∅, T) of Wang et al. 2019 (arXiv 1811.09751). `scratch` is this from
random weights."""

from torch import Tensor

from transferscope.strategies.base import Batch, Strategy


class TargetOnly(Strategy):
    """min E_T [ -log p_y(x) ]: cross-entropy of the labelled target items."""

    sees = frozenset({"target_labels"})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"target": self.task_loss(self.logits(batch.target.inputs), batch.target.labels)}
