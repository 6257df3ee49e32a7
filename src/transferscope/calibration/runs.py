"""Small real trainings for the study: scikit-learn's digits as 64 numbers, one hidden layer, through `splits`
and `training.fit`, no store.

A cell of the pool is a matrix of seeds × test items: what each run names, and whether rightly. One run takes
about 0.06 s on one core."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import cast

import numpy as np
import torch

from transferscope.backbones.base import Backbone
from transferscope.backbones.mlp import MLP
from transferscope.calibration.findings import watched
from transferscope.data import handwritten, printed
from transferscope.data.domain import Domain, fit_images
from transferscope.data.splits import Pools, RunData, generator, prepare, source_pool, split
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.strategies.dann import DANN
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.joint import Joint
from transferscope.strategies.source_only import SourceOnly
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.fit import fit
from transferscope.training.settings import FitResult, FitSettings

STEPS = 60
HIDDEN = 32
BUDGETS = (2, 5, 10)
NOISE = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class TrainedArm:
    """One strategy with its source.

    noise: share of the source labels that is permuted. weight: of joint training's source loss, of dann's
    adversarial one. twin: the same subsets, other initialisation."""

    strategy: type[Strategy]
    source: str | None = None
    noise: float = 0.0
    weight: float = 1.0
    twin: bool = False

    def __str__(self) -> str:
        noise = f", {self.noise:.0%} of the source labels permuted" if self.noise else ""
        noise += f", weight {self.weight:g}" if self.weight != 1 else ""
        return (
            f"{self.strategy.__name__}({self.source}{noise})"
            if self.source
            else "scratch" + ", twin" * self.twin
        )


SCRATCH = TrainedArm(TargetOnly)
PLANTED = tuple(TrainedArm(Joint, "rotated", noise) for noise in NOISE)
TUNED = tuple(TrainedArm(FineTuning, source) for source in ("same", "rotated", "quarter turn", "letters"))
PROBED = tuple(TrainedArm(FeatureExtraction, source) for source in ("rotated", "quarter turn", "letters"))
STRATEGIES = PLANTED + TUNED + PROBED  # the twelve cells of a family


def settings(steps: int, rate: float, batch_size: int = 32) -> FitSettings:
    optimizer = partial(torch.optim.AdamW, lr=rate, weight_decay=0.01)
    return FitSettings(steps, batch_size, 1, optimizer, "cosine", "cpu", "32-true")


def initialised(backbone: type[Backbone], run_data: RunData, stream: tuple, **arguments) -> Classifier:
    torch.manual_seed(int(generator("initialisation", *stream).integers(2**62)))
    return Classifier(backbone(run_data.input_shape, **arguments), run_data.task.outputs)


def answers(run_data: RunData, outcome: FitResult) -> np.ndarray:
    """[n]: the classes that the last predictor names."""
    test = f"{run_data.target.name}/test"
    return outcome.predictions[test][max(outcome.predictions[test])].argmax(1).numpy()


def hits(run_data: RunData, outcome: FitResult) -> np.ndarray:
    """bool [n]: which test items the last predictor has right."""
    return answers(run_data, outcome) == run_data.evaluated[f"{run_data.target.name}/test"].labels.numpy()


def tested(run_data: RunData) -> dict:
    """Of the evaluated sets only the test set: nothing is selected here."""
    return {
        name: items for name, items in run_data.evaluated.items() if name == f"{run_data.target.name}/test"
    }


@cache
def domain(name: str) -> Domain:
    """target: one half of the digits; sources: the other half as it is or turned, or printed letters, all as
    float [N, 64] in 0..1.

    The letters A to J bear the digits' names, so that their head comes along: an unrelated source that does
    harm."""
    if name == "letters":
        made = printed.load(name, "ABCDEFGHIJ", test_fraction=0.0)
        made = replace(
            made, inputs=fit_images(cast(torch.Tensor, made.inputs), 8, 1), classes=domain("target").classes
        )
    elif name == "target":
        made = handwritten.load(name, "first", test_fraction=0.8)
    else:
        made = handwritten.load(
            name, "second", {"same": 0.0, "rotated": 15.0, "quarter turn": 90.0}[name], test_fraction=0.0
        )
    return replace(made, inputs=cast(torch.Tensor, made.inputs).flatten(1).float() / 255)


@cache
def source_weights(source: str, seed: int) -> dict[str, torch.Tensor]:
    pool, _ = source_pool((domain(source),), domain(source).task, seed, 0, 0.0, (64,))
    task = domain(source).task
    run_data = RunData(domain(source), (), task, task, (64,), Pools(source=pool))
    stream = (seed, SourceOnly.__name__)
    network = initialised(MLP, run_data, stream, hidden=(HIDDEN,))
    fit(SourceOnly(network), run_data.pools, {}, settings(STEPS, 0.01), stream)
    return network.state_dict()


@cache
def labels() -> np.ndarray:
    """[n], of the test items."""
    _, test = split(domain("target"), split_seed=0)
    return domain("target").labels[test].numpy()


def run(arm: TrainedArm, budget: int, seed: int) -> np.ndarray:
    """Train one arm at one seed: the classes it names [n]."""
    sources = (domain(arm.source),) if arm.source else ()
    run_data = prepare(
        domain("target"), sources, arm.strategy.sees, budget, seed, split_seed=0, source_label_noise=arm.noise
    )
    stream = (seed, arm.strategy.__name__, *(["twin"] if arm.twin else []))
    network = initialised(MLP, run_data, stream, hidden=(HIDDEN,))
    if arm.source and "source_inputs" not in arm.strategy.sees:
        network.load_source(
            source_weights(arm.source, seed), keep_head=run_data.task.has_outputs_of(run_data.source_task)
        )
    strategy = arm.strategy(network, arm.weight) if arm.strategy in (Joint, DANN) else arm.strategy(network)
    return answers(run_data, fit(strategy, run_data.pools, tested(run_data), settings(STEPS, 0.01), stream))


@cache
def named(arm: TrainedArm, budget: int, seeds: range) -> np.ndarray:
    """int8 [seeds, items], the class each run names; trained once a process."""
    what = f"{len(seeds)} runs of {arm}, {budget} labels a class"
    return np.stack([run(arm, budget, seed) for seed in watched(seeds, what)]).astype(np.int8)


def matrix(arm: TrainedArm, budget: int, seeds: range) -> np.ndarray:
    """int8 [seeds, items], 1 where the item was classified rightly."""
    return (named(arm, budget, seeds) == labels()).astype(np.int8)


def differences(arms: Sequence[TrainedArm], budgets: Sequence[int], seeds: range) -> np.ndarray:
    """int8 [cells, seeds, items]: arm − scratch of the same seed and budget, budgets outermost."""
    return np.stack(
        [matrix(arm, budget, seeds) - matrix(SCRATCH, budget, seeds) for budget in budgets for arm in arms]
    )
