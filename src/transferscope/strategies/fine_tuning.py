"""Fine-tuning: start from the source model or pretrained weights and train everything on the labelled target."""

from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class FineTuning(Strategy):
    """min E_T [ -log p_y(x) ] from transferred weights. The head comes along where source and target share their classes.

    backbone_rate: learning rate of the transferred backbone relative to the head's (1 = the same; 0.1 is common for pretrained networks).
    """

    sees = frozenset({"target_labels"})

    def __init__(self, network: Classifier, backbone_rate: float = 1.0):
        super().__init__(network)
        self.backbone_rate = backbone_rate

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"target": self.classification_loss(self.logits(batch.target.inputs), batch.target.labels)}

    def parameter_groups(self) -> dict[str, list[dict]]:
        backbone = {"params": list(self.network.backbone.parameters()), "lr_scale": self.backbone_rate}
        return {"all": [backbone, {"params": list(self.network.head.parameters())}]}
