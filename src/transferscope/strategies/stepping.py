"""Optimiser steps under Lightning's manual optimisation: blocks of steps, learning rates, sums of losses.

One `training_step` takes a block of optimiser steps, because Lightning's own cost is per `training_step`."""

import inspect
import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from transferscope.data.splits import LabelledData
from transferscope.networks.across_processes import average_gradients
from transferscope.networks.classifier import Classifier


class Batch(NamedTuple):
    """One optimiser step's items; a part that the strategy does not see is None."""

    source: LabelledData | None
    target: LabelledData | None
    unlabelled: Tensor | None


class Diverged(Exception):
    """A loss that is not finite."""


# what the history has of its own
RESERVED = ("step", "seconds", "loss", "learning_rate", "gradient_norm")
RESERVED_GROUPS = ("loss/", "validator/")


class Stepping(pl.LightningModule):
    """Takes the optimiser steps that `updates` asks for, with the learning rates that `parameter_groups`,
    `backbone_rate` and the schedule give."""

    # of the learning rate, for the backbone's weights: the yaml's key or, where that is null and the weights
    # were learnt elsewhere, TRANSFERRED_RATE. Weights of random values always learn at 1
    backbone_rate: float = 1.0

    gradient_clip_val: float | None = None  # the trainer's, like the next; `fit` sets them
    accumulate_grad_batches: int = 1
    l1_penalty: float = 0.0
    devices: int = 1
    # of one process's part of a batch in the mean over processes; 1 where all parts are as large
    batch_share: float = 1.0
    step_callbacks: tuple[pl.Callback, ...] = ()  # those with a hook of backward or of an optimiser's step

    network: Classifier
    total_steps: int
    optimizer: partial[torch.optim.Optimizer]
    schedule: str | dict[str, Any]
    loss_sums: dict[str, Tensor]
    loss_steps: int
    learning_rate: float  # the largest of the last step
    steps_done: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.logged: dict[str, tuple[float | Tensor, int]] = {}  # sum, and how many
        self.logged_metrics: dict[str, Metric] = {}
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    def updates(self, batch: Batch) -> Iterator[tuple[str | tuple[str, ...], dict[str, Tensor]]]:
        """(optimiser or optimisers, loss terms) of one step, in order."""
        raise NotImplementedError

    def parameter_groups(self) -> dict[str, list[dict[str, Any]]]:
        """Optimiser name -> torch parameter groups; `lr_scale` in a group multiplies the learning rate."""
        return {"all": [{"params": list(self.parameters())}]}

    def backward(self, terms: dict[str, Tensor]) -> None:  # type: ignore[override]  # Lightning never calls it
        torch.autograd.backward(torch.stack(list(terms.values())).sum())

    def set_length(
        self, steps: int, optimizer: partial[torch.optim.Optimizer], schedule: str | dict[str, Any]
    ) -> None:
        """The training's length, optimiser and schedule (`cosine`, `constant`, or the `_target_` and
        arguments of one of torch's), the same for every strategy of a comparison."""
        self.total_steps, self.optimizer, self.schedule = steps, optimizer, schedule

    @property
    def progress(self) -> float:
        """Share of the steps done, 0 to 1."""
        return self._step / self.total_steps

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        self.named_optimizers: dict[str, torch.optim.Optimizer] = {}
        rate = self.optimizer.keywords["lr"]
        for name, groups in self.parameter_groups().items():
            groups = [part for group in groups for part in self._at_their_rates(dict(group), rate)]
            self.named_optimizers[name] = in_one_pass(self.optimizer)(groups)
        self._rates = {name: [g["lr"] for g in o.param_groups] for name, o in self.named_optimizers.items()}
        optimizers = list(self.named_optimizers.values())
        self._schedulers: list[LRScheduler] = []
        if isinstance(self.schedule, dict):
            self._schedulers = [scheduler(self.schedule, optimizer) for optimizer in optimizers]
        return optimizers, self._schedulers

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
        self.start_counting(self._step)

    def start_counting(self, step: int) -> None:
        """From this step on, with no loss yet."""
        self._step, self.loss_sums, self.loss_steps = step, {}, 0

    def scale_rates(self, factor: float) -> None:
        """Of every optimiser, from now on. A schedule of torch's has rates of its own."""
        self._rates = {name: [factor * rate for rate in rates] for name, rates in self._rates.items()}

    def training_step(self, block: Iterable[Batch], block_index: int) -> None:
        before, batches = self._step, iter(block)
        while parts := list(islice(batches, self.accumulate_grad_batches)):
            self.take_step(parts)
        self.end_block()
        groups = [group for optimizer in self.named_optimizers.values() for group in optimizer.param_groups]
        self.learning_rate = float(max((group["lr"] for group in groups), default=0.0))
        self._tell_lightning(self._step - before)

    def take_step(self, parts: list[Batch], factor: float = 1.0) -> None:
        """One optimiser step by the mean gradient of these batches. factor: of the learning rates."""
        self._set_rates(factor)
        first, *others = (self.updates(part) for part in parts)
        for names, terms in first:
            optimizers = [
                self.named_optimizers[name] for name in ([names] if isinstance(names, str) else names)
            ]
            for optimizer in optimizers:
                self._call_back("on_before_zero_grad", optimizer)
                optimizer.zero_grad(set_to_none=True)
            self._add_gradients(terms, len(parts))
            for _, further in filter(None, (next(other, None) for other in others)):
                self._add_gradients(further, len(parts))
            for optimizer in optimizers:
                self._call_back("on_before_optimizer_step", optimizer)
                if self.devices > 1 or self.l1_penalty or self.gradient_clip_val is not None:
                    self._change_gradients([p for group in optimizer.param_groups for p in group["params"]])
                optimizer.step()
        for one in self._schedulers:
            one.step()
        self.count_step()

    def _tell_lightning(self, steps: int) -> None:
        """Under manual optimisation Lightning counts what passes its own optimisers, which these do not, and
        its loggers go by calls of `training_step`."""
        loop = self.trainer.fit_loop.epoch_loop
        counted = loop.manual_optimization.optim_step_progress.total
        counted.ready += steps
        counted.completed += steps
        loop._batches_that_stepped = self._step - 1  # it adds one itself

    def _add_gradients(self, terms: dict[str, Tensor], parts: int) -> None:
        """Of one of the batches that a step takes together: their mean is what it goes by."""
        if parts > 1 or self.batch_share != 1:
            terms = {name: value * self.batch_share / parts for name, value in terms.items()}
        if self.step_callbacks:
            self._call_back("on_before_backward", torch.stack(list(terms.values())).sum())
        self.backward(terms)
        self._call_back("on_after_backward")
        self.add_losses(terms)

    def _change_gradients(self, moved: list[nn.Parameter]) -> None:
        """Averages them over the devices, adds that of `l1_penalty` Σ |w|, and clips."""
        if self.devices > 1:
            average_gradients(moved)
        if self.l1_penalty:
            for weight in moved:
                if weight.grad is not None:
                    weight.grad.add_(weight.detach().sign(), alpha=self.l1_penalty)
        if self.gradient_clip_val is not None:
            clip_grad_norm_(moved, self.gradient_clip_val)

    def _call_back(self, hook: str, *arguments: object) -> None:
        for callback in self.step_callbacks:
            getattr(callback, hook)(self.trainer, self, *arguments)

    def add_losses(self, terms: dict[str, Tensor]) -> None:
        for term, value in terms.items():
            self.loss_sums[term] = self.loss_sums.get(term, 0.0) + value.detach()

    def log(self, name: str, value: Metric | Tensor | int | float, *args: Any, **kwargs: Any) -> None:
        """Lightning's: a column of the history, and of W&B, under this name. It is the mean over the
        evaluation interval of a number or a scalar tensor, and what a metric of torchmetrics has computed by
        its end, which is reset. What else Lightning's `log` takes changes nothing.

        Raises ValueError for a name that the history has already."""
        if name in RESERVED or name.startswith(RESERVED_GROUPS):
            raise ValueError(f"self.log({name!r}): the history has a column of this name; log another")
        if isinstance(value, Metric):
            self.logged_metrics[name] = value
            return
        total, count = self.logged.get(name, (0.0, 0))
        self.logged[name] = (total + (value.detach() if isinstance(value, Tensor) else value), count + 1)

    def logged_values(self) -> dict[str, float]:
        """Of what was logged since this was called last."""
        values = {name: float(total) / count for name, (total, count) in self.logged.items()}
        for name, metric in self.logged_metrics.items():
            values[name] = float(metric.compute())
            metric.reset()
        self.logged, self.logged_metrics = {}, {}
        return values

    def of_last_step(self) -> dict[str, float]:
        """The largest learning rate, and the norm of the gradients that the optimisers were given; nothing
        where no optimiser took a step, or its gradients are not finite."""
        groups = [group for groups in self.parameter_groups().values() for group in groups]
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        norm = float(get_total_norm(gradients)) if gradients else math.nan
        return {"learning_rate": self.learning_rate, "gradient_norm": norm} if math.isfinite(norm) else {}

    def show(self, row: dict[str, float]) -> None:
        """Hand a row of the history to Lightning's loggers and to callbacks that monitor a value."""
        for name, value in row.items():
            if name not in ("step", "seconds"):
                super().log(name, value, on_step=False, on_epoch=True, batch_size=1)

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

    def _set_rates(self, factor: float) -> None:
        if self._schedulers:
            return
        factor *= self.rate_factor
        for name, optimizer in self.named_optimizers.items():
            for group, rate in zip(optimizer.param_groups, self._rates[name], strict=True):
                group["lr"] = rate * factor

    def transfer_batch_to_device(
        self, batch: Iterable[Batch], device: torch.device, dataloader_idx: int
    ) -> Iterable[Batch]:
        return batch  # a block is made of items that lie on the device already


def scheduler(node: Any, optimizer: torch.optim.Optimizer) -> Any:
    """A schedule of torch's from its `_target_` and arguments, in which further schedules may stand (as in
    SequentialLR): all are of this optimiser."""
    if isinstance(node, list):
        return [scheduler(item, optimizer) for item in node]
    if not isinstance(node, dict) or "_target_" not in node:
        return node
    arguments = {key: scheduler(value, optimizer) for key, value in node.items() if key != "_target_"}
    return get_class(node["_target_"])(optimizer=optimizer, **arguments)


def in_one_pass(optimizer: partial[torch.optim.Optimizer]) -> partial[torch.optim.Optimizer]:
    """An optimiser that takes its steps in one pass over the weights, where torch has it so: AdamW is then
    five times as fast on a CPU."""
    can = (
        "fused" in inspect.signature(optimizer.func).parameters
        and not {"fused", "foreach"} & optimizer.keywords.keys()
    )
    return partial(optimizer, fused=True) if can else optimizer
