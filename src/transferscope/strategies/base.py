"""The base of every strategy: what it sees, what it minimises, which parameters move.

A strategy is a LightningModule that writes `losses(batch)` and, where needed, `parameter_groups()`.
strategies/stepping.py takes the optimiser steps; evaluation, batches, checkpoints and resume live in
training/fit.py, evaluations.py and batches.py.

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

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier
from transferscope.networks.frozen import frozen_features
from transferscope.strategies.stepping import Batch, Diverged, Stepping
from transferscope.tasks.base import Task
from transferscope.tasks.classification import Classification

__all__ = ["COMMON_KEYS", "SIGHTS", "TRANSFERRED_RATE", "Batch", "Diagnosis", "Diverged", "Strategy"]

# of the learning rate: what DAN, CDAN, MDD, MCC and SHOT give a pretrained backbone beside its new parts
TRANSFERRED_RATE = 0.1
# of a strategy's yaml: what its constructor is not given
COMMON_KEYS = ("name", "starts_from", "backbone_rate")
SIGHTS = ("source_inputs", "source_labels", "target_inputs", "target_labels")


class Diagnosis(NamedTuple):
    """What a strategy says of its own training. collapse: why the run counts as collapsed, or ''. flags: what
    tables say of it."""

    collapse: str = ""
    flags: tuple[str, ...] = ()


class Strategy(Stepping):
    """A way for knowledge to reach the target.

    network: backbone and head, initialised; its head has the target's classes.
    """

    sees: ClassVar[frozenset[str]]  # subset of SIGHTS; nothing else reaches it
    # of what a task `gives`; a task that lacks it is refused before training
    needs: frozenset[str] = frozenset()
    needs_target_labels: ClassVar[bool] = True  # False: works at label budget 0 too
    # True: source and target must have the same classes, or predict the same quantities
    shares_classes: ClassVar[bool] = False
    needs_source_model: ClassVar[bool] = False  # True: starts from a source model and from nothing else
    closed_form: ClassVar[bool] = False  # True: solved before the first step, nothing drawn at random
    # True: nothing but the head is trained, on features computed once, and nothing drawn at random
    trains_head_alone: ClassVar[bool] = False
    # True: trains the seed's scratch run beside its own (`network.scratch`), with the draws of that run
    beside_scratch: ClassVar[bool] = False
    rates_of_its_own: ClassVar[bool] = False  # True: `backbone_rate` is not for it
    calibrated: ClassVar[bool] = True  # False: its probabilities rank the classes and are no probabilities
    # True: reads inputs as they are, past the backbone, categories and missing values of a table among them
    takes_tables: ClassVar[bool] = False
    needs_texts: ClassVar[bool] = False  # True: is for texts, which `network.reader` reads
    # True: changes inputs by adding to them, which the numbers of tokens cannot bear
    changes_inputs: ClassVar[bool] = False
    version: ClassVar[int] = 1  # raised when its numbers change
    task: Task = Classification(())  # what it predicts; a run sets its own
    label_smoothing: float = 0.0  # the trainer's; `fit` sets it
    pool_class_weights: dict[str, Tensor] = {}  # [C] of the labels of a pool; likewise
    # a run sets one that keeps them
    frozen_features: Callable[[nn.Module, Tensor | OnDisk, torch.device | str], Tensor | OnDisk] = (
        staticmethod(frozen_features)
    )

    def __init__(self, network: Classifier):
        super().__init__()
        self.network = network

    @classmethod
    def has_backbone_rate(cls) -> bool:
        """Whether it trains a backbone at the trainer's rate."""
        return not (cls.closed_form or cls.trains_head_alone or cls.rates_of_its_own)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms whose sum is minimised, by name; each a scalar."""
        raise NotImplementedError

    def updates(self, batch: Batch) -> Iterator[tuple[str | tuple[str, ...], dict[str, Tensor]]]:
        """(optimiser or optimisers, loss terms) of one step, in order. Override for several optimisers."""
        yield "all", self.losses(batch)

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

    def diagnose(self, history: list[dict[str, float]]) -> Diagnosis:
        """Called once a training came to its end, with a row an evaluation: `loss/TERM`, the mean over the
        interval before it, and what `begin_evaluation` returned."""
        return Diagnosis()

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

    def task_loss(self, logits: Tensor, labels: Tensor, pool: str = "target") -> Tensor:
        """The task's loss, mean over items, of outputs [N, C] and labels [N] that were given, not guessed, in
        the pool `source` or `target`: with the trainer's label smoothing and class weights. Of numbers
        outputs and labels are [N, T]."""
        weights = self.pool_class_weights.get(pool)
        return self.task.loss(logits, labels, weights=weights, smoothing=self.label_smoothing)

    def task_losses(self, logits: Tensor, labels: Tensor, pool: str = "target") -> Tensor:
        """The same of each item, [N]."""
        weights = self.pool_class_weights.get(pool)
        return self.task.loss(logits, labels, "none", weights=weights, smoothing=self.label_smoothing)

    @property
    def predictor(self) -> Classifier:
        """The network behind `predictions`: its features are those that label-free validators read."""
        return self.network

    def predictions(self, inputs: Tensor) -> Tensor:
        """Precomputed inputs [N, ...] -> what the task predicts: class probabilities [N, C], or values
        [N, T]"""
        return self.task.predict(self.logits(inputs))

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
