"""Runs that train a head on frozen features side by side: a grid of seeds and learning rates costs little
more than one pass of the backbone.

A step of one head is so small that most of it is the calls around it. Here all heads step together, as one
batch where that gives the same bits (`batched_heads`), and one pass of the optimiser goes over all weights
that share its settings; backbone, features and batches are there once for all. So a run's record is bit by
bit the one it gets by itself, whatever it trained beside."""

import copy
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from transferscope import tracking
from transferscope.data.splits import RunData
from transferscope.store import lease, record
from transferscope.store.damage import quarantine
from transferscope.strategies.base import Batch, Diverged, Strategy
from transferscope.strategies.stepping import in_one_pass
from transferscope.training.batched_heads import BatchedHeads
from transferscope.training.batches import BatchSampler
from transferscope.training.evaluations import EvaluationCallback
from transferscope.training.feature_cache import FrozenFeatures
from transferscope.training.finished import is_done
from transferscope.training.initialise import build
from transferscope.training.request import Request, checked, plain
from transferscope.training.run import Trained, train_and_record
from transferscope.training.run_tracking import live_run, scratch_twin, test_images
from transferscope.training.settings import Monitoring
from transferscope.training.threads import set_threads

# a weight's step depends on no other weight
ELEMENTWISE = ("torch.optim.SGD", "torch.optim.Adam", "torch.optim.AdamW")


def can_join(request: Request) -> bool:
    """Whether a run may train beside others that differ from it in seed, labels or optimiser: they then have
    their backbone in common, which a source model, itself trained with the seed and the optimiser, would not
    be."""
    trainer = request.asked.trainer
    return (
        # said by itself: one that inherits it may draw at random
        vars(request.strategy).get("trains_head_alone", False)
        and request.initialisation == "pretrained"
        and trainer.optimizer["_target_"] in ELEMENTWISE
        and trainer.precision == "32-true"
        and trainer.patience is None
        and isinstance(trainer.schedule, str)
        and trainer.gradient_clip_val is None
        and trainer.accumulate_grad_batches == 1
        and trainer.l1_penalty == 0
        and trainer.lr_range_test is None
        and trainer.devices == 1
        and not (trainer.callbacks or trainer.loggers)
        and request.consumed["device"] == "cpu"  # on a GPU it has not been measured
        and not request.extra_files
    )


def run_side_by_side(config: DictConfig) -> None:
    """The run of `config` and those that its key `beside` tells by what differs: {dotted key: value} each. A
    record each; those that the store has are not trained. A group that is killed leaves whole records, and
    the rest is trained from the start."""
    first = plain(config)
    differences = first.pop("beside")
    requests = sorted(
        (checked(changed(first, difference)) for difference in [{}, *differences]),
        key=lambda request: request.fingerprint,
    )
    store = requests[0].store
    record.check_writable(store)
    tracking.effective_mode(requests[0].asked.tracking.mode)
    set_threads(requests[0].asked.trainer.threads)
    leases: dict[str, lease.Lease] = {}
    with ExitStack() as held:
        for r in requests:  # in the same order everywhere: no two processes wait for each other
            leases[r.fingerprint] = held.enter_context(
                lease.Lease(store, r.fingerprint, r.cell, r.asked.seed, r.steps)
            )
        waiting = [request for request in requests if not is_done(request)]
        for request in waiting:
            quarantine(store, request.fingerprint)
            leases[request.fingerprint].claim(step=0)
        for request, trained in train_side_by_side(waiting):
            with live_run(request) as live:
                folder = train_and_record(
                    request, leases[request.fingerprint], partial(_trained_already, trained)
                )
                leases[request.fingerprint].finish()
                live.finish(folder, test_images(request), scratch_twin(request))


def _trained_already(trained: Trained) -> Trained:
    return trained


def changed(config: dict[str, Any], difference: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(config)
    for key, value in difference.items():
        *sections, name = key.split(".")
        section = config
        for part in sections:
            section = section[part]
        section[name] = value
    return config


@dataclass
class Head:
    """A run in training, and which of the draws of batches is its own."""

    request: Request
    strategy: Strategy
    watch: EvaluationCallback
    draws: int

    @property
    def learns(self) -> bool:
        return self.watch.outcome.status == "done"


def train_side_by_side(requests: list[Request]) -> Iterator[tuple[Request, Trained]]:
    """Each with what `fit` gives of it alone, but for the times: of what all take together each is told an
    equal share."""
    began = time.perf_counter()
    if not requests:
        return
    features = cache(FrozenFeatures(requests[0].store))
    heads: list[Head] = []
    draws: list[BatchSampler] = []
    tasks: list[tuple[RunData, float]] = []
    for same in _by_draws(requests):
        settings = same[0].settings(same[0].steps)
        run_data = same[0].run_data()
        strategy, source_seconds = build(same[0], run_data)
        monitoring = Monitoring(validator_inputs=run_data.validator_inputs)
        for request in same:
            network = copy.deepcopy(
                strategy.network, {id(strategy.network.backbone): strategy.network.backbone}
            )
            kept = replace(monitoring, folder=record.running(request.store) / request.fingerprint)
            watch = EvaluationCallback(run_data.pools, run_data.evaluated, settings, request.stream(), kept)
            head = Head(request, request.build_strategy(network), watch, len(draws))
            head.strategy.frozen_features = features
            head.strategy.label_smoothing = settings.label_smoothing
            head.strategy.set_length(
                request.steps, request.settings(request.steps).optimizer, settings.schedule
            )
            head.watch.now = lambda: time.perf_counter() / len(requests)
            head.watch.begin(head.strategy, began / len(requests))
            head.strategy.on_fit_start()
            heads.append(head)
        draws.append(BatchSampler(heads[-1].watch, settings, strategy))
        tasks.append((run_data, source_seconds))
    _fit(heads, draws)
    share = (time.perf_counter() - began) / len(heads)
    for head in heads:
        run_data, source_seconds = tasks[head.draws]
        yield head.request, Trained(run_data, head.strategy, head.watch.outcome, source_seconds, share)


def _by_draws(requests: list[Request]) -> list[list[Request]]:
    """Runs that share task, batches and first weights: they differ in the optimiser alone."""
    found = defaultdict(list)
    for request in requests:
        consumed = request.consumed | {"trainer": {**request.consumed["trainer"], "optimizer": None}}
        found[record.fingerprint(consumed)].append(request)
    return list(found.values())


def _fit(heads: list[Head], draws: list[BatchSampler]) -> None:
    optimizers = [_optimizer([head.strategy for head in same]) for same in _by_optimizer(heads)]
    batched = BatchedHeads([head.strategy for head in heads])
    fits = None
    for interval in range(len(heads[0].watch.boundaries) - 1):
        for head in heads:
            head.strategy.on_train_epoch_start()
        for blocks in zip(*(draw.blocks(interval) for draw in draws), strict=True):
            learning = [head for head in heads if head.learns]
            for drawn in zip(*blocks, strict=True):
                batches = [drawn[head.draws] for head in heads]
                if fits is None:
                    fits = batched.fits([head.strategy for head in heads], batches)
                _step(heads, batches, optimizers, batched if fits else None)
            for head in learning:
                try:
                    head.strategy.end_block()
                except Diverged as divergence:
                    head.watch.outcome.status, head.watch.outcome.reason = "diverged", str(divergence)
        for head in heads:
            if head.learns:
                head.watch.end_interval(head.strategy, int(head.strategy.steps_done))


def _by_optimizer(heads: list[Head]) -> list[list[Head]]:
    found = defaultdict(list)
    for head in heads:
        found[head.strategy.optimizer.func, frozenset(head.strategy.optimizer.keywords)].append(head)
    return list(found.values())


def _optimizer(strategies: list[Strategy]) -> torch.optim.Optimizer:
    """One of their class for all, which holds those of the same settings in one group: it takes a step of
    each group in one pass."""
    groups: dict[tuple[tuple[str, Any], ...], list[nn.Parameter]] = defaultdict(list)
    for strategy in strategies:
        groups[tuple(sorted(strategy.optimizer.keywords.items()))] += [
            w for group in strategy.parameter_groups()["all"] for w in group["params"]
        ]
    listed = [{"params": weights, **dict(settings)} for settings, weights in groups.items()]
    return in_one_pass(strategies[0].optimizer)([{**group, "initial_lr": group["lr"]} for group in listed])


def _step(
    heads: list[Head],
    batches: list[Batch],
    optimizers: list[torch.optim.Optimizer],
    batched: BatchedHeads | None,
) -> None:
    learning = [(head.strategy, batch) for head, batch in zip(heads, batches, strict=True) if head.learns]
    if not learning:
        return
    factor = learning[0][0].rate_factor
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        optimizer.zero_grad(set_to_none=True)
    if batched is None:
        terms = [strategy.losses(batch) for strategy, batch in learning]
        torch.autograd.backward(torch.stack([loss for one in terms for loss in one.values()]).sum())
    else:
        losses = batched.step(batches)
        terms = [{"target": loss} for head, loss in zip(heads, losses, strict=True) if head.learns]
        for head in heads:
            if not head.learns:
                head.strategy.zero_grad()  # without a gradient no optimiser moves it
    for (strategy, _), one in zip(learning, terms, strict=True):
        strategy.add_losses(one)
        strategy.count_step()
        strategy.learning_rate = strategy.optimizer.keywords["lr"] * factor
    for optimizer in optimizers:
        optimizer.step()
