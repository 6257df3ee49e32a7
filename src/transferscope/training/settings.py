"""What a fit is given, and what it leaves."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferscope.data.augmentation import Augmentation
from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import FeatureItems
from transferscope.training.callbacks import Entry

Row = dict[str, float]  # of the history: `step`, `seconds`, losses and values by name
Stream = tuple[object, ...]
ByStep = MutableMapping[int, Tensor]  # outputs [n, ...] of one evaluated set
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
    """What a fit leaves: outputs [n, ...] by evaluated set and step, a row of losses an evaluation. Those of
    a fit with a folder lie there, and are read when they are asked for. learning_rate: the one that a range
    test found."""

    status: str = "done"
    reason: str = ""
    predictions: dict[str, ByStep] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    learning_rate: float | None = None


@dataclass(frozen=True)
class Monitoring:
    """What is read at the evaluations of a fit, and what of it is kept.

    folder: where checkpoints and the outputs of evaluations go, and where an interrupted fit is resumed from;
    None keeps no checkpoint, and outputs in memory.
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


def boundaries(settings: FitSettings) -> np.ndarray:
    """The steps at which there is an evaluation, 0 the first."""
    return np.linspace(0, settings.steps, settings.evaluations + 1).round().astype(int)


def validator_items(settings: FitSettings) -> int:
    """So many that reading them costs about 5 % of the training, where a trained item costs four that are
    only predicted: 100 to 2,000."""
    return int(np.clip(settings.steps * settings.batch_size // (5 * (settings.evaluations + 1)), 100, 2000))
