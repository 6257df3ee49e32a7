"""Fitting one strategy with Lightning: evaluation intervals, checkpoints, resume. Knows nothing about methods.

Training takes `trainer.steps` optimiser steps, cut into evaluation intervals; a Lightning epoch is one interval. Every draw derives from
(seed, strategy, interval), so a run that is resumed at its last interval ends bit-identical to one that was never stopped.
"""

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from transferscope import validators
from transferscope.data.splits import Evaluated, Labelled, Pools, generator
from transferscope.networks.classifier import in_chunks
from transferscope.strategies.base import Batch, Diverged, Strategy

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

BLOCK = 50  # optimiser steps a Lightning training_step: enough that its cost is lost among them


class Settings(NamedTuple):
    """The trainer's keys; `steps` is the length of this fit (a source model's is `source_steps`)."""

    steps: int
    batch_size: int
    evaluations: int
    optimizer: Callable
    schedule: str
    accelerator: str
    precision: str


@dataclass
class Outcome:
    """What a fit leaves: class probabilities [n, C] by evaluated set and step, a row of losses an evaluation."""

    status: str = "done"
    reason: str = ""
    probabilities: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0


def fit(
    strategy: Strategy,
    pools: Pools,
    evaluated: dict[str, Evaluated],
    settings: Settings,
    stream: tuple,
    folder: Path | None = None,
    after_interval: Callable[[int, dict], None] = lambda step, row: None,
    keep: tuple[str, ...] | None = None,
    validator_inputs: Tensor | None = None,
) -> Outcome:
    """Train, and evaluate at step 0 and at the end of every interval.

    stream: key of all random draws. folder: where checkpoints go and where an interrupted fit is resumed from; None keeps none.
    keep: leave weights in folder/selected.safetensors: those of the evaluation with the best accuracy on these evaluated sets (the earliest
    of equals), or, with no set named, the last ones. None keeps none.
    validator_inputs: unlabelled target items that the label-free validators read at each evaluation; of these the first `validator_items`.
    """
    boundaries = np.linspace(0, settings.steps, settings.evaluations + 1).round().astype(int)
    strategy.set_length(settings.steps, settings.optimizer, settings.schedule)
    watch = _Intervals(pools, evaluated, boundaries, stream, folder, after_interval, keep)
    if validator_inputs is not None:
        watch.validator_inputs = validator_inputs[: validator_items(settings)]
    checkpoint = folder / "checkpoint.ckpt" if folder else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_epochs=settings.evaluations, accelerator=settings.accelerator, devices=1, precision=settings.precision, callbacks=[watch],
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )  # fmt: skip
        draws = _Draws(watch, settings.batch_size, strategy)
        try:
            trainer.fit(strategy, draws, ckpt_path=checkpoint if checkpoint and checkpoint.exists() else None, weights_only=True)
        except Diverged as divergence:
            watch.outcome.status, watch.outcome.reason = "diverged", str(divergence)
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into an exit
                raise KeyboardInterrupt from stop
            raise
    return watch.outcome


def validator_items(settings: Settings) -> int:
    """So many that reading them costs about 5 % of the training, where a trained item costs four that are only predicted: 100 to 2,000."""
    return int(np.clip(settings.steps * settings.batch_size // (5 * (settings.evaluations + 1)), 100, 2000))


class _Draws:
    """Yields blocks of optimiser steps for the current interval. Pools are drawn in permutations, each with its own generator."""

    def __init__(self, watch: "_Intervals", batch_size: int, strategy: Strategy):
        self.watch, self.batch_size, self.strategy = watch, batch_size, strategy

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        interval = self.watch.interval(self.strategy)
        if interval == len(self.watch.boundaries) - 1:  # resumed after the last interval: only the record is missing
            return
        steps = self.watch.boundaries[interval + 1] - self.watch.boundaries[interval]
        orders = {
            name: self._order(len(pool if name == "unlabelled" else pool.labels), steps, name, interval)
            for name, pool in self.watch.pools._asdict().items()
            if pool is not None
        }
        for start in range(0, steps, BLOCK):
            yield self._block(orders, range(start, min(start + BLOCK, steps)))

    def _order(self, size: int, steps: int, pool: str, interval: int) -> Tensor:
        """Item indices [steps, b], b = min(batch size, pool size): whole permutations one after another."""
        draw, batch = generator("batches", *self.watch.stream, pool, interval), min(self.batch_size, size)
        rounds = -(-steps * batch // size)
        order = np.concatenate([draw.permutation(size) for _ in range(rounds)])
        return torch.from_numpy(order[: steps * batch].reshape(steps, batch))

    def _block(self, orders: dict[str, Tensor], steps: range) -> Iterator[Batch]:
        pools = self.watch.pools
        for step in steps:
            items = {name: order[step] for name, order in orders.items()}
            yield Batch(
                source=Labelled(*(column[items["source"]] for column in pools.source)) if pools.source else None,
                target=Labelled(*(column[items["target"]] for column in pools.target)) if pools.target else None,
                unlabelled=pools.unlabelled[items["unlabelled"]] if pools.unlabelled is not None else None,
            )


class _Intervals(pl.Callback):
    """What happens between intervals: seeding, evaluation, checkpoint."""

    def __init__(self, pools, evaluated, boundaries, stream, folder, after_interval, keep):
        self.pools, self.boundaries, self.stream, self.folder = pools, boundaries, stream, folder
        self.after_interval, self.keep, self.best = after_interval, keep, -1.0
        # of the labels only those that `keep` chooses by stay here: no test label is within reach of training
        self.inputs = {name: items.inputs for name, items in evaluated.items()}
        self.labels = {name: evaluated[name].labels for name in keep or ()}
        self.validator_inputs: Tensor | None = None
        self.outcome = Outcome(probabilities={name: {} for name in evaluated})

    def interval(self, strategy: Strategy) -> int:
        """The current interval, from the steps done: Lightning's epoch count is one behind while a resumed fit draws its first batches."""
        return int(np.searchsorted(self.boundaries, int(strategy.steps_done), side="right")) - 1

    def on_train_start(self, trainer: pl.Trainer, strategy: Strategy) -> None:
        self.clock = time.perf_counter()
        device = strategy.device
        prepared = {}
        for name, pool in self.pools._asdict().items():
            if isinstance(pool, Labelled):
                prepared[name] = Labelled(strategy.precompute(pool.inputs).to(device), pool.labels.to(device), pool.domain.to(device))
            else:
                prepared[name] = None if pool is None else strategy.precompute(pool).to(device)
        self.pools = Pools(**prepared)
        self.inputs = {name: strategy.precompute(inputs) for name, inputs in self.inputs.items()}
        if self.validator_inputs is not None:
            self.validator_inputs = strategy.precompute(self.validator_inputs)
        if not self.outcome.history:
            self._evaluate(strategy, 0, {})
        strategy.fit_features(self.pools)
        strategy.train()  # a resumed fit starts in the modes in which one that was never stopped goes on

    def on_train_epoch_start(self, trainer: pl.Trainer, strategy: Strategy) -> None:
        torch.manual_seed(int(generator("torch", *self.stream, self.interval(strategy)).integers(2**62)))
        strategy.begin_interval(self.pools)

    def on_train_epoch_end(self, trainer: pl.Trainer, strategy: Strategy) -> None:
        step = int(strategy.steps_done)
        losses = {f"loss/{term}": float(total) / strategy.loss_steps for term, total in strategy.loss_sums.items()}
        self._evaluate(strategy, step, losses)
        if self.folder:
            trainer.save_checkpoint(self.folder / "checkpoint.draft")
            os.replace(self.folder / "checkpoint.draft", self.folder / "checkpoint.ckpt")
        self.after_interval(step, self.outcome.history[-1])

    def _evaluate(self, strategy: Strategy, step: int, losses: dict[str, float]) -> None:
        strategy.eval()
        for name, inputs in self.inputs.items():
            self.outcome.probabilities[name][step] = in_chunks(strategy.probabilities, inputs, strategy.device)
        values = {} if self.validator_inputs is None else _read_validators(strategy, self.validator_inputs)
        strategy.train()
        self.outcome.seconds += time.perf_counter() - self.clock
        self.clock = time.perf_counter()
        self.outcome.history.append({"step": step, "seconds": self.outcome.seconds, **losses, **values})
        if self.keep is not None and (score := self._selection_score(step)) > self.best:
            from safetensors.torch import save_file

            self.best = score
            save_file(strategy.state_dict(), self.folder / "selected.draft")
            os.replace(self.folder / "selected.draft", self.folder / "selected.safetensors")

    def _selection_score(self, step: int) -> float:
        if not self.labels:
            return float(step)
        hits = [self.outcome.probabilities[name][step].argmax(1) == labels for name, labels in self.labels.items()]
        return float(torch.cat(hits).float().mean())

    def state_dict(self) -> dict:
        outcome = self.outcome
        return {"probabilities": outcome.probabilities, "history": outcome.history, "seconds": outcome.seconds, "best": self.best}

    def load_state_dict(self, state: dict) -> None:
        self.best = state["best"]
        self.outcome.probabilities, self.outcome.history = state["probabilities"], state["history"]
        self.outcome.seconds = state["seconds"]


def _read_validators(strategy: Strategy, inputs: Tensor) -> dict[str, float]:
    """`validator/NAME` of precomputed inputs; one that is not finite is left out.

    Their features are what the backbone gives on the way to the probabilities, or the inputs where these were precomputed features.
    """
    passed = []
    watch = strategy.network.backbone.register_forward_hook(lambda module, given, features: passed.append(features.detach().float().cpu()))
    p = in_chunks(strategy.probabilities, inputs, strategy.device)
    watch.remove()
    features = torch.cat(passed) if passed else inputs.float().cpu()
    features = features.flatten(1) if len(features) == len(p) else p
    values = validators.read(p.numpy(), features.numpy())
    # six digits: the last ones of a matrix product depend on how many threads made it
    return {f"validator/{name}": float(f"{value:.6g}") for name, value in values.items() if math.isfinite(value)}
