"""The base of every strategy: what it sees, what it minimises, which parameters move.

A strategy is a LightningModule that writes `losses(batch)` and, where needed, `parameter_groups()`. The base
owns stepping, schedules and the bookkeeping of losses; evaluation, batches, checkpoints and resume live in
training/fit.py. One `training_step` takes a block of optimiser steps (manual optimisation), because
Lightning's own cost is per `training_step`.

How methods of other kinds sit on it:
- two classifiers, several optimisers (MCD): `parameter_groups` returns {"generator": ..., "classifiers":
  ...}; `updates` yields (("generator", "classifiers"), source loss), then ("classifiers", source loss less
  discrepancy), then k times ("generator", discrepancy). `updates` is a generator, so each loss is computed
  after the step before it.
- ADDA: initialisation `source`; `__init__` keeps a frozen copy of the source backbone; `updates` yields
  ("discriminator", ...) and ("target", ...).
- without source data (SHOT): `sees = {"target_inputs"}`, initialisation `source`; `begin_interval(pools)`
  recomputes pseudo-labels for the unlabelled pool; the head stays out of `parameter_groups`.
- adapting on test inputs (Tent): protocol transductive, `sees = {"target_inputs"}`, `parameter_groups` lists
  the normalisation layers' affine parameters, the loss is the entropy of `batch.unlabelled`.
- closed form on features (TCA): `precompute` gives frozen features, `fit_features(pools)`, called once before
  the first step, solves, `logits` uses the solution, and `updates` yields nothing.
- several tasks: `batch.source` and `batch.target` come side by side; a second head of
  `network.source_classes` outputs is a module made in `__init__`; PCGrad overrides `backward(terms)`.
- gradual unfreezing: `parameter_groups` names all groups, `begin_interval` sets `requires_grad` from
  `self.progress` alone, so a resumed run is at the same place.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax

from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.networks.frozen import frozen_features

# of the learning rate: what DAN, CDAN, MDD, MCC and SHOT give a pretrained backbone beside its new parts
TRANSFERRED_RATE = 0.1
COMMON_KEYS = (
    "name",
    "starts_from",
    "backbone_rate",
)  # of a strategy's yaml: what its constructor is not given
SIGHTS = ("source_inputs", "source_labels", "target_inputs", "target_labels")


class Batch(NamedTuple):
    """One optimiser step's items; a part that the strategy does not see is None."""

    source: LabelledData | None
    target: LabelledData | None
    unlabelled: Tensor | None


class Diverged(Exception):
    """A loss that is not finite."""


class Strategy(pl.LightningModule):
    """A way for knowledge to reach the target.

    network: backbone and head, initialised; its head has the target's classes.
    """

    sees: ClassVar[frozenset[str]]  # subset of SIGHTS; nothing else reaches it
    needs_target_labels: ClassVar[bool] = True  # False: works at label budget 0 too
    shares_classes: ClassVar[bool] = False  # True: source and target must have the same classes
    needs_source_model: ClassVar[bool] = False  # True: starts from a source model and from nothing else
    closed_form: ClassVar[bool] = False  # True: solved before the first step, nothing drawn at random
    trains_head_alone: ClassVar[bool] = (
        False  # True: nothing but the head is trained, on features computed once, and nothing drawn at random
    )
    beside_scratch: ClassVar[bool] = (
        # True: trains the seed's scratch run beside its own (`network.scratch`), with the draws of that run
        False
    )
    rates_of_its_own: ClassVar[bool] = False  # True: `backbone_rate` is not for it
    calibrated: ClassVar[bool] = True  # False: its probabilities rank the classes and are no probabilities
    version: ClassVar[int] = 1  # raised when its numbers change
    label_smoothing: float = 0.0  # the trainer's; `fit` sets it
    # of the learning rate, for the backbone's weights: the yaml's key, TRANSFERRED_RATE where that is null
    # and they
    backbone_rate: float = 1.0
    # were learnt elsewhere. Weights of random values always learn at 1
    frozen_features: Callable[[nn.Module, Tensor | OnDisk, torch.device | str], Tensor] = staticmethod(
        frozen_features
    )  # a run sets one that keeps them

    total_steps: int
    optimizer: partial[torch.optim.Optimizer]
    schedule: str
    loss_sums: dict[str, Tensor]
    loss_steps: int
    steps_done: Tensor

    def __init__(self, network: Classifier):
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    @classmethod
    def has_backbone_rate(cls) -> bool:
        """Whether it trains a backbone at the trainer's rate."""
        return not (cls.closed_form or cls.trains_head_alone or cls.rates_of_its_own)

    # --- what a strategy writes
    # ----------------------------------------------------------------------------------------------

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms whose sum is minimised, by name; each a scalar."""
        raise NotImplementedError

    def updates(self, batch: Batch) -> Iterator[tuple[str | tuple[str, ...], dict[str, Tensor]]]:
        """(optimiser or optimisers, loss terms) of one step, in order. Override for several optimisers."""
        yield "all", self.losses(batch)

    def parameter_groups(self) -> dict[str, list[dict[str, Any]]]:
        """Optimiser name -> torch parameter groups; `lr_scale` in a group multiplies the learning rate."""
        return {"all": [{"params": list(self.parameters())}]}

    def fit_features(self, pools: Pools) -> None:
        """Called once before the first step, after the evaluation of step 0, with the precomputed pools:
        closed-form fits.

        A resumed fit calls it again: it must then come to the same, or leave things as they are
        (`steps_done`)."""

    def begin_interval(self, pools: Pools) -> None:
        """Called before each evaluation interval; everything it sets must follow from weights and
        `progress`."""

    def begin_evaluation(self, pools: Pools) -> dict[str, float]:
        """Called before each evaluation, in evaluation mode; what it returns goes into the history. It must
        follow from weights and pools."""
        return {}

    def precompute(self, inputs: Tensor | OnDisk) -> Tensor | OnDisk:
        """What `logits` and `losses` take in place of inputs; called once for every pool and evaluated set,
        e.g. frozen features: `self.frozen_features(backbone.eval(), inputs, self.device)`, which in a run
        computes only what its store does not have. Here what a frozen trunk gives."""
        trunk = self.network.backbone.trunk
        return inputs if trunk is None else self.frozen_features(trunk, inputs, self.device)

    def logits(self, inputs: Tensor) -> Tensor:
        """[N, ...] -> [N, C]"""
        logits: Tensor = self.network(inputs)
        return logits

    def logits_of(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Logits of several batches that pass the network as one, so that normalisation layers see them
        together."""
        return torch.split(self.logits(torch.cat(inputs)), [len(part) for part in inputs])

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of logits [N, C] and labels [N] that were given, not guessed, with the trainer's
        label smoothing."""
        return cross_entropy(logits, labels, label_smoothing=self.label_smoothing)

    def backward(self, terms: dict[str, Tensor]) -> None:  # type: ignore[override]  # Lightning never calls it
        torch.autograd.backward(torch.stack(list(terms.values())).sum())

    def acts_on(self) -> dict[str, tuple[int, int]]:
        """What of the network it changes, and of how much, for the record: parameters that it trains and a
        batch passes."""
        reachable = {
            parameter for module in self.network.reachable() for parameter in module.parameters(recurse=False)
        }
        moved = {
            parameter
            for groups in self.parameter_groups().values()
            for group in groups
            for parameter in group["params"]
        }
        trained = sum(parameter.numel() for parameter in moved & reachable if parameter.requires_grad)
        return {"parameters": (trained, sum(parameter.numel() for parameter in self.network.parameters()))}

    # --- what the base does
    # --------------------------------------------------------------------------------------------------

    def set_length(self, steps: int, optimizer: partial[torch.optim.Optimizer], schedule: str) -> None:
        """The training's length and optimiser, the same for every strategy of a comparison."""
        self.total_steps, self.optimizer, self.schedule = steps, optimizer, schedule

    @property
    def predictor(self) -> Classifier:
        """The network behind `probabilities`: its features are those that label-free validators read."""
        return self.network

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

    def probabilities(self, inputs: Tensor) -> Tensor:
        """Precomputed inputs [N, ...] -> class probabilities [N, C]"""
        return softmax(self.logits(inputs), dim=1)


def in_one_pass(optimizer: partial[torch.optim.Optimizer]) -> partial[torch.optim.Optimizer]:
    """An optimiser that takes its steps in one pass over the weights, where torch has it so: AdamW is then
    five times as fast on a CPU."""
    can = (
        "fused" in inspect.signature(optimizer.func).parameters
        and not {"fused", "foreach"} & optimizer.keywords.keys()
    )
    return partial(optimizer, fused=True) if can else optimizer
