"""Optimiser steps under Lightning's manual optimisation: blocks of steps, learning rates, sums of losses.

One `training_step` takes a block of optimiser steps, because Lightning's own cost is per `training_step`."""

import inspect
import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier


class Batch(NamedTuple):
    """One optimiser step's items; a part that the strategy does not see is None."""

    source: LabelledData | None
    target: LabelledData | None
    unlabelled: Tensor | None


class Diverged(Exception):
    """A loss that is not finite."""


class Stepping(pl.LightningModule):
    """Takes the optimiser steps that `updates` asks for, with the learning rates that `parameter_groups`,
    `backbone_rate` and the schedule give."""

    # of the learning rate, for the backbone's weights: the yaml's key or, where that is null and the weights
    # were learnt elsewhere, TRANSFERRED_RATE. Weights of random values always learn at 1
    backbone_rate: float = 1.0

    network: Classifier
    total_steps: int
    optimizer: partial[torch.optim.Optimizer]
    schedule: str
    loss_sums: dict[str, Tensor]
    loss_steps: int
    steps_done: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    def updates(self, batch: Batch) -> Iterator[tuple[str | tuple[str, ...], dict[str, Tensor]]]:
        """(optimiser or optimisers, loss terms) of one step, in order."""
        raise NotImplementedError

    def parameter_groups(self) -> dict[str, list[dict[str, Any]]]:
        """Optimiser name -> torch parameter groups; `lr_scale` in a group multiplies the learning rate."""
        return {"all": [{"params": list(self.parameters())}]}

    def backward(self, terms: dict[str, Tensor]) -> None:  # type: ignore[override]  # Lightning never calls it
        torch.autograd.backward(torch.stack(list(terms.values())).sum())

    def set_length(self, steps: int, optimizer: partial[torch.optim.Optimizer], schedule: str) -> None:
        """The training's length and optimiser, the same for every strategy of a comparison."""
        self.total_steps, self.optimizer, self.schedule = steps, optimizer, schedule

    @property
    def progress(self) -> float:
        """Share of the steps done, 0 to 1."""
        return self._step / self.total_steps

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        self._named_optimizers: dict[str, torch.optim.Optimizer] = {}
        rate = self.optimizer.keywords["lr"]
        for name, groups in self.parameter_groups().items():
            groups = [part for group in groups for part in self._at_their_rates(dict(group), rate)]
            self._named_optimizers[name] = in_one_pass(self.optimizer)(groups)
        self._rates = {name: [g["lr"] for g in o.param_groups] for name, o in self._named_optimizers.items()}
        return list(self._named_optimizers.values())

    def _at_their_rates(self, group: dict[str, Any], rate: float) -> list[dict[str, Any]]:
        """A group of `parameter_groups` as torch takes it, the backbone's parameters apart where they have a
        rate of their own."""
        rate, parameters = rate * group.pop("lr_scale", 1.0), list(group.pop("params"))
        if self.backbone_rate == 1:
            return [{"lr": rate, "params": parameters, **group}]
        backbone = set(self.network.backbone.parameters())
        parts = {
            factor: [p for p in parameters if (p in backbone) == is_slow]
            for factor, is_slow in ((self.backbone_rate, True), (1.0, False))
        }
        return [{"lr": rate * factor, "params": part, **group} for factor, part in parts.items() if part]

    def on_fit_start(self) -> None:  # after a checkpoint is loaded, before anything asks for the progress
        self._step = int(self.steps_done)

    def on_train_epoch_start(self) -> None:
        self.loss_sums, self.loss_steps = {}, 0

    def training_step(self, block: Iterable[Batch], block_index: int) -> None:
        for batch in block:
            self._set_rates()
            for names, terms in self.updates(batch):
                optimizers = [
                    self._named_optimizers[name] for name in ([names] if isinstance(names, str) else names)
                ]
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=True)
                self.backward(terms)
                for optimizer in optimizers:
                    optimizer.step()
                self.add_losses(terms)
            self.count_step()
        self.end_block()

    def add_losses(self, terms: dict[str, Tensor]) -> None:
        for term, value in terms.items():
            self.loss_sums[term] = self.loss_sums.get(term, 0.0) + value.detach()

    def count_step(self) -> None:
        self._step += 1
        self.loss_steps += 1

    def end_block(self) -> None:
        """Raises Diverged where a loss since the interval's start was not finite."""
        self.steps_done.fill_(self._step)
        for term, total in self.loss_sums.items():  # one look a block: each costs a synchronisation
            if not math.isfinite(float(total)):
                raise Diverged(f"loss/{term} is not finite at step {self._step}")

    @property
    def rate_factor(self) -> float:
        """What the schedule makes of the learning rate at this step."""
        return 0.5 * (1 + math.cos(math.pi * self.progress)) if self.schedule == "cosine" else 1.0

    def _set_rates(self) -> None:
        factor = self.rate_factor
        for name, optimizer in self._named_optimizers.items():
            for group, rate in zip(optimizer.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * factor

    def transfer_batch_to_device(
        self, batch: Iterable[Batch], device: torch.device, dataloader_idx: int
    ) -> Iterable[Batch]:
        return batch  # a block is made of items that lie on the device already


def in_one_pass(optimizer: partial[torch.optim.Optimizer]) -> partial[torch.optim.Optimizer]:
    """An optimiser that takes its steps in one pass over the weights, where torch has it so: AdamW is then
    five times as fast on a CPU."""
    can = (
        "fused" in inspect.signature(optimizer.func).parameters
        and not {"fused", "foreach"} & optimizer.keywords.keys()
    )
    return partial(optimizer, fused=True) if can else optimizer
