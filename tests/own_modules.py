"""LightningModules as users have them, for `strategies/own_module.py`."""

import pytorch_lightning as pl
import torch
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from transferscope.networks.classifier import Classifier


class Usual(pl.LightningModule):
    def __init__(self, network: Classifier, lr: float = 0.01):
        super().__init__()
        self.model, self.lr = network, lr
        self.loss = MeanMetric()

    def forward(self, inputs):
        return self.model(inputs)

    def training_step(self, batch, batch_index):
        inputs, labels = batch
        loss = cross_entropy(self(inputs), labels)
        self.log("own_loss", loss)
        self.loss.update(loss)
        self.log("metric", self.loss, on_epoch=True)
        return {"loss": loss}

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, fused=True)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}


class ByStep(Usual):
    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, fused=True)
        return [optimizer], [
            {"scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), "interval": "step"}
        ]


class Plain(Usual):
    """As `target_only` trains."""

    def training_step(self, batch, batch_index):
        inputs, labels = batch
        return cross_entropy(self(inputs), labels)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.01, fused=True)


class Forgetful(Usual):
    def __init__(self, network: Classifier, lr: float = 0.01):
        super().__init__(Classifier(network.backbone, 2), lr)


class Manual(Usual):
    def __init__(self, network: Classifier, lr: float = 0.01):
        super().__init__(network, lr)
        self.automatic_optimization = False


class TwoOptimisers(Usual):
    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=1.0), torch.optim.SGD(self.parameters(), lr=1.0)]
