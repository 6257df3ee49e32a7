"""A callback of Lightning's as a user writes it."""

import pytorch_lightning as pl
from torch import nn, optim


class Norms(pl.Callback):
    """Logs the norm of the gradient before each step of an optimiser."""

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: optim.Optimizer
    ) -> None:
        moved = [weight for group in optimizer.param_groups for weight in group["params"]]
        pl_module.log("norm_before", nn.utils.get_total_norm([w.grad for w in moved if w.grad is not None]))
