"""What a Lightning module says of the test items when its fit has ended, as a file of results."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from transferscope.external.writing import new_file, write_results


class WritePredictions(Callback):
    """batches: (inputs, labels) of the test items in an order of their own, such as a DataLoader that does
    not shuffle. The module's forward gives logits [n, C] for labels that are whole numbers, one number for
    labels that are not. run: strategy, seed and what else `write_results` takes. Raises RequestError."""

    def __init__(self, path: str | Path, batches: Iterable[Any], **run: Any):
        self.path, self.batches, self.run = new_file(path), batches, run

    @torch.no_grad()
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        was_training = pl_module.training
        pl_module.eval()
        found = [(pl_module(x.to(pl_module.device)).cpu(), y.cpu()) for x, y in self.batches]
        pl_module.train(was_training)
        outputs, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        if labels.is_floating_point():
            truths, predictions = labels.flatten().numpy(), outputs.float().flatten().numpy()
            write_results(self.path, truths=truths, predictions=predictions, **self.run)
        else:
            probabilities = outputs.float().softmax(1).numpy()
            write_results(self.path, labels=labels.numpy(), probabilities=probabilities, **self.run)
