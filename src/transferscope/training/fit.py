"""Fitting one strategy with Lightning: evaluation intervals, checkpoints, resume. Knows nothing about
methods.

Training takes `trainer.steps` optimiser steps, cut into evaluation intervals; a Lightning epoch is one
interval. Every draw derives from (seed, strategy, interval), so a run that is resumed at its last interval
ends bit-identical to one that was never stopped."""

import logging
import os
import sys
import warnings
from functools import cache, partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

from transferscope.data.splits import EvaluationSet, Pools
from transferscope.strategies.base import Diverged, Strategy
from transferscope.training import callbacks
from transferscope.training.batches import BLOCK, BatchSampler
from transferscope.training.devices import of_several
from transferscope.training.evaluations import EndOfInterval, EvaluationCallback, Seeding
from transferscope.training.lr_range_test import RangeTest
from transferscope.training.settings import (
    NOTHING_KEPT,
    FitResult,
    FitSettings,
    Monitoring,
    Stream,
)

for logger in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
    logging.getLogger(logger).setLevel(logging.ERROR)

# what a checkpoint has at least
CHECKPOINT = {"state_dict", "loops", "callbacks", "optimizer_states", "pytorch-lightning_version"}


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
    if checkpoint and not _is_whole(checkpoint, watch):
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


def _is_whole(checkpoint: Path, watch: EvaluationCallback) -> bool:
    """Whether there is a checkpoint to go on from, and the outputs of the evaluations before it. A damaged
    one is named on stderr and set aside. Nothing in it is run: tensors and plain values are all that is
    read."""
    if not checkpoint.exists():
        return False
    why = "damaged"
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        if content.keys() >= CHECKPOINT:
            state = content["callbacks"][watch.state_key]
            if "outputs" not in state:
                why = "of an earlier transferscope"
            elif watch.has_outputs_of(state):
                return True
            else:
                why = "damaged (outputs of evaluations before it)"
    except Exception:  # a damaged archive fails in many ways
        pass
    damaged = checkpoint.with_suffix(".damaged")
    print(f"{checkpoint}: {why}; set aside as {damaged.name}, and trained from the start", file=sys.stderr)
    os.replace(checkpoint, damaged)
    return False
