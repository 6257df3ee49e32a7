"""What strategies share that train on the labelled source and the unlabelled target at once. Not a strategy:
it has no yaml."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from transferscope.strategies.base import Batch, Strategy


class Passed(NamedTuple):
    """What the network made of each part of a batch, [n, d] or [n, C]; `target`, the labelled items, is None
    at label budget 0."""

    source: Tensor
    unlabelled: Tensor
    target: Tensor | None = None


class Adaptation(Strategy):
    """min E_S [ -log p_y(x) ] + E_T [ -log p_y(x) ] + what a strategy adds of source and unlabelled target.

    E_T is there where labels are in the budget, with weight 1. The papers of this family are unsupervised and
    have none: their common deviation. All parts pass the network in one batch, so that normalisation layers
    see the domains together."""

    sees = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
    needs_target_labels = False
    shares_classes = True

    @property
    def ramp(self) -> float:
        """2 / (1 + exp(-10 p)) - 1, p the share of steps done: 0 at the start, nearly 1 at the end (Ganin et
        al. 2016, section 5.2.2)."""
        return 2 / (1 + math.exp(-10 * self.progress)) - 1

    def passed(self, batch: Batch) -> tuple[Passed, Passed]:
        """(features, logits) of every part."""
        parts = [batch.source.inputs, batch.unlabelled] + ([batch.target.inputs] if batch.target else [])
        sizes = [len(part) for part in parts]
        features = self.network.backbone(torch.cat(parts))
        return Passed(*features.split(sizes)), Passed(*self.network.head(features).split(sizes))

    def supervised(self, batch: Batch, logits: Passed) -> dict[str, Tensor]:
        """The cross-entropies of the labelled parts: `source`, and `target` with labels in the budget."""
        terms = {"source": self.task_loss(logits.source, batch.source.labels, "source")}
        if batch.target:
            terms["target"] = self.task_loss(logits.target, batch.target.labels)
        return terms
