"""Fine-tuning: start from the source model or pretrained weights and train everything on the labelled
target."""

from torch import Tensor

from transferscope.strategies.base import Batch, Strategy


class FineTuning(Strategy):
    """min E_T [ -log p_y(x) ] from transferred weights. The head comes along where source and target share
    their classes."""

    sees = frozenset({"target_labels"})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"target": self.task_loss(self.logits(batch.target.inputs), batch.target.labels)}

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.parameters())}]}
