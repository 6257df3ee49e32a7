"""What happens between the intervals of a fit: evaluation, what is kept of it, checkpoints, seeds."""

import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from transferscope import validators
from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import EvaluationSet, FeatureItems, LabelledData, Pools, generator
from transferscope.networks.across_processes import averaged, take_buffers_of_the_first
from transferscope.networks.classifier import in_chunks
from transferscope.strategies.base import Strategy
from transferscope.training.outputs import FOLDER as OUTPUTS
from transferscope.training.outputs import StoredOutputs
from transferscope.training.settings import (
    NOTHING_KEPT,
    FitResult,
    FitSettings,
    Monitoring,
    Stream,
    boundaries,
    validator_items,
)


class EvaluationCallback(pl.Callback):
    """Evaluates after each interval, once all other callbacks have had their turn."""

    rank = 0  # of this process among those of one training; the first evaluates
    is_watched = False  # by callbacks or loggers, which are shown the row of each evaluation
    others: Sequence[pl.Callback] = ()  # of the config

    # a strategy that trains beside others sets a slower clock
    now: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(
        self,
        pools: Pools,
        evaluated: dict[str, EvaluationSet],
        settings: FitSettings,
        stream: Stream,
        monitoring: Monitoring = NOTHING_KEPT,
    ):
        self.pools, self.boundaries, self.stream = pools, boundaries(settings), stream
        self.monitoring, self.patience = monitoring, settings.patience
        self.has_class_weights = settings.class_weights == "balanced"
        self.was_stopped = False  # by a callback
        self.best: float | None = None
        self.scores: list[float] = []
        # of the labels only those that `keep` or `stop_by` judge by stay here: no test label is within reach
        # of training
        self.inputs = {name: items.inputs for name, items in evaluated.items()}
        self.labels = {
            name: evaluated[name].labels
            for name in (*(monitoring.keep or ()), *monitoring.stop_by)
            if not name.startswith("validator/")
        }
        self.validator_inputs: Tensor | OnDisk | None = None
        if monitoring.validator_inputs is not None:
            self.validator_inputs = monitoring.validator_inputs[: validator_items(settings)]
        self.feature_items = monitoring.feature_items
        folder = monitoring.folder
        self.outcome = FitResult(
            predictions={name: StoredOutputs(folder, name) if folder else {} for name in evaluated}
        )

    def interval(self, strategy: Strategy) -> int:
        """The current interval, from the steps done: Lightning's epoch count is one behind while a resumed
        fit draws its first batches."""
        return int(np.searchsorted(self.boundaries, int(strategy.steps_done), side="right")) - 1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin(cast(Strategy, pl_module))
        # resumed after the interval that ended it: only the record is missing
        trainer.should_stop = self.stalled or self.was_stopped

    def begin(self, strategy: Strategy, since: float | None = None) -> None:
        """since: of the clock, where what was done before is part of this fit."""
        self.clock = self.now() if since is None else since
        self.task = strategy.task
        device = strategy.device

        def prepared(pool: LabelledData | None) -> LabelledData | None:
            if pool is None:
                return None
            inputs = strategy.precompute(pool.inputs).to(device)
            return LabelledData(inputs, pool.labels.to(device), pool.domain.to(device))

        source, target, unlabelled, validation = self.pools
        self.pools = Pools(
            prepared(source),
            prepared(target),
            None if unlabelled is None else strategy.precompute(unlabelled).to(device),
            prepared(validation),
        )
        if self.has_class_weights:
            sizes = {"source": strategy.network.source_classes, "target": strategy.network.head.out_features}
            strategy.pool_class_weights = {
                name: balanced_weights(pool.labels, sizes[name])
                for name, pool in self.pools._asdict().items()
                if name in sizes and pool is not None
            }
        self.inputs = {name: strategy.precompute(inputs) for name, inputs in self.inputs.items()}
        if self.validator_inputs is not None:
            self.validator_inputs = strategy.precompute(self.validator_inputs)
        if self.feature_items is not None:
            items = self.feature_items
            self.feature_items = items._replace(
                source=strategy.precompute(items.source),
                source_val=strategy.precompute(items.source_val),
                target=strategy.precompute(items.target),
            )
        if not self.outcome.history:
            if self.monitoring.folder and not self.rank:  # of a fit that left no checkpoint
                shutil.rmtree(self.monitoring.folder / OUTPUTS, ignore_errors=True)
            self._evaluate(strategy, 0, {})
        strategy.fit_features(self.pools)
        strategy.train()  # a resumed fit starts in the modes in which one that was never stopped goes on

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        cast(Strategy, pl_module).begin_interval(self.pools)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        strategy = cast(Strategy, pl_module)
        step = int(strategy.steps_done)
        for callback in self.others:  # for them this evaluation is the validation: averaged weights come in
            callback.on_validation_epoch_start(trainer, strategy)
        self.end_interval(strategy, step)
        for callback in self.others:
            callback.on_validation_epoch_end(trainer, strategy)
        if self.is_watched:
            strategy.show(self.outcome.history[-1])

    def end_interval(self, strategy: Strategy, step: int) -> None:
        if strategy.devices > 1:
            take_buffers_of_the_first(strategy)
            strategy.loss_sums = {term: averaged(total) for term, total in strategy.loss_sums.items()}
        losses = {
            f"loss/{term}": float(total) / strategy.loss_steps for term, total in strategy.loss_sums.items()
        }
        total = {"loss": sum(losses.values())} if losses else {}
        row = losses | total | strategy.of_last_step() | strategy.logged_values()
        self._evaluate(strategy, step, row)

    def _evaluate(self, strategy: Strategy, step: int, losses: dict[str, float]) -> None:
        if self.rank:
            return
        strategy.eval()
        extra = strategy.begin_evaluation(self.pools)
        for name, inputs in self.inputs.items():
            self.outcome.predictions[name][step] = in_chunks(strategy.predictions, inputs, strategy.device)
        values = {} if self.validator_inputs is None else _read_validators(strategy, self.validator_inputs)
        if self.feature_items is not None:
            _store_features(strategy, self.feature_items, self.monitoring.within("features"), step)
        strategy.train()
        now = self.now()
        self.outcome.seconds += now - self.clock
        self.clock = now
        self.outcome.history.append(
            {"step": step, "seconds": self.outcome.seconds, **losses, **extra, **values}
        )
        if self.patience is not None:
            self.scores.append(self._score(self.monitoring.stop_by, step))
        if self.monitoring.keep is not None:
            score = self._score(self.monitoring.keep, step)
            if self.best is None or score > self.best:
                self.best = score
                self._keep_weights(strategy)

    def _keep_weights(self, strategy: Strategy) -> None:
        from safetensors.torch import save_file

        draft = self.monitoring.within("selected.draft")
        save_file({key: value.contiguous() for key, value in strategy.state_dict().items()}, draft)
        os.replace(draft, self.monitoring.within("selected.safetensors"))

    def _score(self, rule: tuple[str, ...], step: int) -> float:
        """What a rule says of the evaluation just made, higher is better. A validator says nothing of the
        untrained network."""
        if not rule:
            return float(step)
        if rule[0].startswith("validator/"):
            return self.outcome.history[-1].get(rule[0], -math.inf) if step else -math.inf
        scores = [
            self.task.item_scores(self.outcome.predictions[name][step], self.labels[name]) for name in rule
        ]
        return float(torch.cat(scores).mean())

    @property
    def stalled(self) -> bool:
        return (
            self.patience is not None and len(self.scores) - 1 - int(np.argmax(self.scores)) >= self.patience
        )

    def state_dict(self) -> dict[str, Any]:
        outcome = self.outcome
        written = {
            name: by_step.written
            for name, by_step in outcome.predictions.items()
            if isinstance(by_step, StoredOutputs)
        }
        kept = {"outputs": written, "history": outcome.history, "seconds": outcome.seconds}
        return kept | {"best": self.best, "scores": self.scores, "was_stopped": self.was_stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = state_dict
        self.best, self.scores = state["best"], state["scores"]
        self.was_stopped = state.get("was_stopped", False)
        self.outcome.history, self.outcome.seconds = state["history"], state["seconds"]
        for name, by_step in self.outcome.predictions.items():
            if isinstance(by_step, StoredOutputs):
                by_step.written = state["outputs"][name]

    def has_outputs_of(self, state: dict[str, Any]) -> bool:
        """Whether what was evaluated before a checkpoint of this state is there, and whole."""
        return all(
            name in state["outputs"] and by_step.are_whole(state["outputs"][name])
            for name, by_step in self.outcome.predictions.items()
            if isinstance(by_step, StoredOutputs)
        )


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """n / (C n_c) for the n labels of C classes, as scikit-learn's `balanced`; 0 for a class without any."""
    counts = torch.bincount(labels, minlength=classes)
    return torch.where(counts > 0, len(labels) / (int((counts > 0).sum()) * counts.clamp_min(1)), 0.0)


class Seeding(pl.Callback):
    """Seeds torch at the start of each interval, before any other callback draws."""

    def __init__(self, watch: EvaluationCallback):
        self.watch = watch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        interval = self.watch.interval(cast(Strategy, pl_module))
        key = (*self.watch.stream, interval, *([self.watch.rank] if self.watch.rank else []))
        torch.manual_seed(int(generator("torch", *key).integers(2**62)))


class EndOfInterval(Checkpoint):
    """Leaves a checkpoint and says where training stands, after those callbacks too that Lightning calls last
    because they monitor a value."""

    def __init__(self, watch: EvaluationCallback):
        self.watch = watch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        watch, monitoring = self.watch, self.watch.monitoring
        watch.was_stopped = trainer.should_stop
        trainer.should_stop = trainer.should_stop or watch.stalled
        if folder := monitoring.folder:
            trainer.save_checkpoint(folder / "checkpoint.draft")
        if watch.rank:
            return
        if folder:
            os.replace(folder / "checkpoint.draft", folder / "checkpoint.ckpt")
        row = watch.outcome.history[-1]
        monitoring.after_interval(int(row["step"]), row)


def _read_validators(strategy: Strategy, inputs: Tensor | OnDisk) -> dict[str, float]:
    """`validator/NAME` of precomputed inputs; one that is not finite is left out."""
    p, features = _predicted(strategy, inputs)
    values = validators.read(p.numpy(), features.numpy())
    # six digits: the last ones of a matrix product depend on how many threads made it
    return {
        f"validator/{name}": float(f"{value:.6g}") for name, value in values.items() if math.isfinite(value)
    }


def _store_features(strategy: Strategy, items: FeatureItems, folder: Path, step: int) -> None:
    """What `dev` and `iwcv` are made of, in folder/STEP.npz: float16 features [n, d] `source`, [v, d]
    `source_val`, [m, d] `target`, and the `losses` [v] of `source_val`."""
    (_, source), (p, source_val), (_, target) = (
        _predicted(strategy, part) for part in (items.source, items.source_val, items.target)
    )
    losses = strategy.task.validation_loss(p, items.source_val_labels)
    features = {"source": source, "source_val": source_val, "target": target}
    members: dict[str, Any] = {"losses": losses.numpy()}
    members |= {name: part.clamp(-65504, 65504).half().numpy() for name, part in features.items()}
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / ".draft.npz"
    np.savez(draft, **members)
    os.replace(draft, folder / f"{step:06d}.npz")


def _predicted(strategy: Strategy, inputs: Tensor | OnDisk) -> tuple[Tensor, Tensor]:
    """Class probabilities [n, C] and features [n, d] of precomputed inputs: what the backbone gives on the
    way, or the inputs where these were precomputed features."""
    passed: list[Tensor] = []
    watch = strategy.predictor.backbone.register_forward_hook(
        lambda module, given, features: passed.append(features.detach().float().cpu())
    )
    p = in_chunks(strategy.predictions, inputs, strategy.device)
    watch.remove()
    if not passed:  # the inputs are features
        passed = [part.float().cpu() for part in inputs.split(512)]
    features = torch.cat(passed)
    return p, features.flatten(1) if len(features) == len(p) else p
