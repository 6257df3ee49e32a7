"""The batches of a fit: pools drawn in permutations, cut into blocks of optimiser steps, augmented, dealt out
over processes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from transferscope.data.augmentation import augment
from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import LabelledData, generator
from transferscope.strategies.base import Batch, Strategy
from transferscope.training.evaluations import EvaluationCallback
from transferscope.training.settings import FitSettings
from transferscope.training.text_augmentation import OF_TEXTS, augment_rows

BLOCK = 50  # optimiser steps a Lightning training_step: enough that its cost is lost among them


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
        self.near = strategy.network.backbone.neighbours() if self.augmentation == "neighbours" else None

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
        """The draws of `augment`, or `augment_rows`, for every item of every step [steps, b, 3]."""
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
                parts[name] = self._changed(parts[name], move)
            else:
                parts[name] = parts[name]._replace(inputs=self._changed(parts[name].inputs, move))
        return Batch(**parts)

    def _changed(self, inputs: Tensor, move: Tensor) -> Tensor:
        if self.augmentation in OF_TEXTS:
            return augment_rows(inputs, move, str(self.augmentation), self.near)
        return augment(inputs, move, self.augmentation)


def _permutations(items: np.ndarray, length: int, draw: np.random.Generator) -> np.ndarray:
    """Whole permutations of the items [n] one after another, cut to a length."""
    rounds = -(-length // len(items))
    return np.concatenate([draw.permutation(items) for _ in range(rounds)])[:length]
