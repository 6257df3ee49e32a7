"""Fitting one strategy with Lightning: evaluation intervals, checkpoints, resume. Knows nothing about
methods.

Training takes `trainer.steps` optimiser steps, cut into evaluation intervals; a Lightning epoch is one
interval. Every draw derives from (seed, strategy, interval), so a run that is resumed at its last interval
ends bit-identical to one that was never stopped."""

import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

from transferscope import validators
from transferscope.data.augmentation import Augmentation, augment
from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import EvaluationSet, FeatureItems, LabelledData, Pools, generator
from transferscope.networks.across_processes import averaged, take_buffers_of_the_first
from transferscope.networks.classifier import in_chunks
from transferscope.strategies.base import Batch, Diverged, Strategy
from transferscope.training import callbacks
from transferscope.training.callbacks import Entry
from transferscope.training.devices import of_several
from transferscope.training.lr_range_test import RangeTest

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
logging.getLogger("lightning_fabric").setLevel(logging.ERROR)

# what a checkpoint has at least
CHECKPOINT = {"state_dict", "loops", "callbacks", "optimizer_states", "pytorch-lightning_version"}
BLOCK = 50  # optimiser steps a Lightning training_step: enough that its cost is lost among them


Row = dict[str, float]  # of the history: `step`, `seconds`, losses and values by name
Stream = tuple[object, ...]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class FitSettings(NamedTuple):
    """The trainer's keys; `steps` is the length of this fit (a source model's is `source_steps`)."""

    steps: int
    batch_size: int
    evaluations: int
    optimizer: partial[torch.optim.Optimizer]
    schedule: str | dict[str, Any]
    accelerator: str
    precision: Precision
    augmentation: Augmentation = "none"
    label_smoothing: float = 0.0
    patience: int | None = None
    gradient_clip_val: float | None = None
    accumulate_grad_batches: int = 1
    l1_penalty: float = 0.0
    class_weights: str = "none"
    sampler: str = "shuffle"
    lr_range_test: int | None = None
    devices: int = 1


@dataclass
class FitResult:
    """What a fit leaves: class probabilities [n, C] by evaluated set and step, a row of losses an
    evaluation. learning_rate: the one that a range test found."""

    status: str = "done"
    reason: str = ""
    probabilities: dict[str, dict[int, Tensor]] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    learning_rate: float | None = None


@dataclass(frozen=True)
class Monitoring:
    """What is read at the evaluations of a fit, and what of it is kept.

    folder: where checkpoints go and where an interrupted fit is resumed from; None keeps none.
    keep: leave weights in folder/selected.safetensors: those of the evaluation with the best accuracy on
    these evaluated sets, or the best value of ("validator/NAME",) (the earliest of equals), or, with nothing
    named, the last ones. None keeps none.
    stop_by: a rule as for `keep`: training ends after the settings' `patience` evaluations in a row that are
    no better by it than the best before.
    validator_inputs: unlabelled target items that the label-free validators read at each evaluation; of these
    the first `validator_items`.
    feature_items: items whose features are left in folder/features, one file an evaluation
    (`_store_features`).
    callbacks, loggers: Lightning's. Loggers are given `hyperparameters`."""

    folder: Path | None = None
    after_interval: Callable[[int, Row], None] = lambda step, row: None
    keep: tuple[str, ...] | None = None
    stop_by: tuple[str, ...] = ()
    validator_inputs: Tensor | OnDisk | None = None
    feature_items: FeatureItems | None = None
    callbacks: tuple[Entry, ...] = ()
    loggers: tuple[Entry, ...] = ()
    hyperparameters: dict[str, Any] = field(default_factory=dict)

    def within(self, name: str) -> Path:
        """A file or folder of what is kept."""
        if self.folder is None:
            raise ValueError(f"{name} is kept in a folder, and none is given")
        return self.folder / name


NOTHING_KEPT = Monitoring()


def fit(
    strategy: Strategy,
    pools: Pools,
    evaluated: dict[str, EvaluationSet],
    settings: FitSettings,
    stream: Stream,
    monitoring: Monitoring = NOTHING_KEPT,
) -> FitResult:
    """Train, and evaluate at step 0 and at the end of every interval. stream: key of all random draws."""
    strategy.set_length(settings.steps, settings.optimizer, settings.schedule)
    strategy.label_smoothing = settings.label_smoothing
    strategy.gradient_clip_val = settings.gradient_clip_val
    strategy.accumulate_grad_batches = settings.accumulate_grad_batches
    strategy.l1_penalty = settings.l1_penalty
    strategy.devices = settings.devices
    watch = EvaluationCallback(pools, evaluated, settings, stream, monitoring)
    checkpoint = monitoring.folder / "checkpoint.ckpt" if monitoring.folder else None
    if monitoring.feature_items is not None and not monitoring.within("features").exists():
        checkpoint = None  # of a fit that stored none: its evaluations are made again
    if checkpoint and not _is_whole(checkpoint):
        checkpoint = None
    train = partial(_train, strategy, watch, settings, monitoring, checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if settings.devices == 1:
            train("auto")
        else:
            with of_several(settings.devices, train) as devices:
                train(devices)
    return watch.outcome


def _train(
    strategy: Strategy,
    watch: "EvaluationCallback",
    settings: FitSettings,
    monitoring: Monitoring,
    checkpoint: Path | None,
    devices: DDPStrategy | str,
) -> None:
    own, loggers = callbacks.built(monitoring.callbacks), callbacks.built(monitoring.loggers)
    strategy.step_callbacks = tuple(callbacks.overriding(own, callbacks.STEP_HOOKS))
    for logger in loggers:
        logger.log_hyperparams(monitoring.hyperparameters)
    watch.is_watched, watch.others = bool(own or loggers), own
    watch.rank = devices.local_rank if isinstance(devices, DDPStrategy) else 0
    draws = BatchSampler(watch, settings, strategy, _block(own))
    tests = [RangeTest(settings.lr_range_test, draws)] if settings.lr_range_test else []
    trainer = pl.Trainer(
        max_epochs=settings.evaluations, accelerator=settings.accelerator, devices=settings.devices,
        strategy=devices, precision=settings.precision, logger=loggers or False,
        callbacks=[Seeding(watch), *own, watch, *tests, EndOfInterval(watch)],
        enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip
    try:
        trainer.fit(strategy, draws, ckpt_path=checkpoint, weights_only=True)
    except Diverged as divergence:
        watch.outcome.status, watch.outcome.reason = "diverged", str(divergence)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into an exit
            raise KeyboardInterrupt from stop
        raise
    watch.outcome.learning_rate = tests[0].rate if tests else None


def _block(own: list[pl.Callback]) -> int:
    """Optimiser steps a Lightning training_step: one where a callback is to be called at each."""
    each = callbacks.overriding(own, (*callbacks.BATCH_HOOKS, *callbacks.STEP_HOOKS))
    if each:
        _say_slower(type(each[0]).__name__)
    return 1 if each else BLOCK


@cache
def _say_slower(name: str) -> None:
    print(
        f"trainer.callbacks: {name} is called at every step, and so is Lightning, which takes {BLOCK} at once"
        " otherwise: training is slower",
        file=sys.stderr,
    )


def boundaries(settings: FitSettings) -> np.ndarray:
    """The steps at which there is an evaluation, 0 the first."""
    return np.linspace(0, settings.steps, settings.evaluations + 1).round().astype(int)


def _is_whole(checkpoint: Path) -> bool:
    """Whether there is a checkpoint to go on from. A damaged one is named on stderr and set aside. Nothing in
    it is run: tensors and plain values are all that is read."""
    if not checkpoint.exists():
        return False
    try:
        if torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True).keys() >= CHECKPOINT:
            return True
    except Exception:  # a damaged archive fails in many ways
        pass
    damaged = checkpoint.with_suffix(".damaged")
    print(f"{checkpoint}: damaged; set aside as {damaged.name}, and trained from the start", file=sys.stderr)
    os.replace(checkpoint, damaged)
    return False


def validator_items(settings: FitSettings) -> int:
    """So many that reading them costs about 5 % of the training, where a trained item costs four that are
    only predicted: 100 to 2,000."""
    return int(np.clip(settings.steps * settings.batch_size // (5 * (settings.evaluations + 1)), 100, 2000))


class BatchSampler:
    """Yields blocks of optimiser steps for the current interval. Pools are drawn in permutations, each with
    its own generator."""

    def __init__(
        self, watch: "EvaluationCallback", settings: FitSettings, strategy: Strategy, block: int = BLOCK
    ):
        self.watch = watch
        self.batch_size = settings.batch_size
        self.parts, self.devices = settings.accumulate_grad_batches, settings.devices
        self.is_balanced = settings.sampler == "balanced"
        self.block = block * self.parts
        self.augmentation = settings.augmentation
        self.strategy = strategy

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        interval = self.watch.interval(self.strategy)
        if (
            interval < len(self.watch.boundaries) - 1
        ):  # else it was resumed after the last interval: only the record is missing
            yield from self.blocks(interval)

    def blocks(self, interval: int) -> Iterator[Iterator[Batch]]:
        yield from self.drawn(self.watch.boundaries[interval + 1] - self.watch.boundaries[interval], interval)

    def drawn(self, steps: int, interval: int | str) -> Iterator[Iterator[Batch]]:
        """Blocks of so many optimiser steps; interval: key of the draws."""
        steps *= self.parts
        orders = {
            name: self._order(pool, steps, name, interval)
            for name, pool in self.watch.pools._asdict().items()
            if pool is not None and name in Batch._fields
        }
        moves = {
            name: self._moves(order, name, interval)
            for name, order in orders.items()
            if self.augmentation != "none"
        }
        if self.devices > 1:
            orders, moves = self._of_this_process(orders), self._of_this_process(moves)
        for start in range(0, steps, self.block):
            yield self._block(orders, moves, range(start, min(start + self.block, steps)))

    def _of_this_process(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """Its part of every batch [steps, b, ...]. Of one pool: no strategy of several is trained so."""
        parts = {name: whole[:, self.watch.rank :: self.devices] for name, whole in drawn.items()}
        for name, part in parts.items():
            self.strategy.batch_share = part.shape[1] * self.devices / drawn[name].shape[1]
        return parts

    def _order(
        self, pool: LabelledData | Tensor | OnDisk, steps: int, name: str, interval: int | str
    ) -> Tensor:
        """Item indices [steps, b], b = min(batch size, pool size): whole permutations one after another, of
        the classes and of the items of each where classes are drawn equally often."""
        size = len(pool.labels) if isinstance(pool, LabelledData) else len(pool)
        draw, batch = generator("batches", *self.watch.stream, name, interval), min(self.batch_size, size)
        if not (self.is_balanced and isinstance(pool, LabelledData)):
            order = _permutations(np.arange(size), steps * batch, draw)
        else:
            labels = pool.labels.cpu().numpy()
            drawn = _permutations(np.unique(labels), steps * batch, draw)
            order = np.empty(len(drawn), dtype=np.int64)
            for label in np.unique(labels):
                places = np.flatnonzero(drawn == label)
                order[places] = _permutations(np.flatnonzero(labels == label), len(places), draw)
        return torch.from_numpy(order.reshape(steps, batch))

    def _moves(self, order: Tensor, pool: str, interval: int | str) -> Tensor:
        """The draws of `augment` for every item of every step [steps, b, 3]."""
        draw = generator("augmentation", *self.watch.stream, pool, interval)
        return torch.from_numpy(draw.random((*order.shape, 3))).to(self.strategy.device)

    def _block(self, orders: dict[str, Tensor], moves: dict[str, Tensor], steps: range) -> Iterator[Batch]:
        pools = self.watch.pools
        for step in steps:
            items = {name: order[step] for name, order in orders.items()}
            batch = Batch(
                source=pools.source.taken(items["source"]) if pools.source else None,
                target=pools.target.taken(items["target"]) if pools.target else None,
                unlabelled=pools.unlabelled[items["unlabelled"]] if pools.unlabelled is not None else None,
            )
            yield (
                self._augmented(batch, {name: move[step] for name, move in moves.items()}) if moves else batch
            )

    def _augmented(self, batch: Batch, moves: dict[str, Tensor]) -> Batch:
        parts = batch._asdict()
        for name, move in moves.items():
            if name == "unlabelled":
                parts[name] = augment(parts[name], move, self.augmentation)
            else:
                parts[name] = parts[name]._replace(
                    inputs=augment(parts[name].inputs, move, self.augmentation)
                )
        return Batch(**parts)


def _permutations(items: np.ndarray, length: int, draw: np.random.Generator) -> np.ndarray:
    """Whole permutations of the items [n] one after another, cut to a length."""
    rounds = -(-length // len(items))
    return np.concatenate([draw.permutation(items) for _ in range(rounds)])[:length]


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
        self.outcome = FitResult(probabilities={name: {} for name in evaluated})

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
            self.outcome.probabilities[name][step] = in_chunks(
                strategy.probabilities, inputs, strategy.device
            )
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
            self.task.item_scores(self.outcome.probabilities[name][step], self.labels[name]) for name in rule
        ]
        return float(torch.cat(scores).mean())

    @property
    def stalled(self) -> bool:
        return (
            self.patience is not None and len(self.scores) - 1 - int(np.argmax(self.scores)) >= self.patience
        )

    def state_dict(self) -> dict[str, Any]:
        outcome = self.outcome
        kept = {
            "probabilities": outcome.probabilities,
            "history": outcome.history,
            "seconds": outcome.seconds,
        }
        return kept | {"best": self.best, "scores": self.scores, "was_stopped": self.was_stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = state_dict
        self.best, self.scores = state["best"], state["scores"]
        self.was_stopped = state.get("was_stopped", False)
        self.outcome.probabilities, self.outcome.history = state["probabilities"], state["history"]
        self.outcome.seconds = state["seconds"]


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
    `source_val`, [m, d] `target`, and the cross-entropy `losses` [v] of `source_val`."""
    (_, source), (p, source_val), (_, target) = (
        _predicted(strategy, part) for part in (items.source, items.source_val, items.target)
    )
    losses = -p.gather(1, items.source_val_labels[:, None])[:, 0].clamp_min(1e-12).log()
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
    p = in_chunks(strategy.probabilities, inputs, strategy.device)
    watch.remove()
    features = torch.cat(passed) if passed or isinstance(inputs, OnDisk) else inputs.float().cpu()
    return p, features.flatten(1) if len(features) == len(p) else p
