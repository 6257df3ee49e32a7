"""Gradual unfreezing: which layer moves at which step, and that a resumed run is at the same place."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch

from transferscope.backbones.small_cnn import SmallCNN
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.gradual_unfreezing import GradualUnfreezing
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings, Monitoring

LABELS = torch.arange(12) % 3
INPUTS = torch.randint(0, 256, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
POOLS = Pools(target=LabelledData(INPUTS, LABELS, torch.zeros(12)))
EVALUATED = {"toy/test": EvaluationSet(INPUTS, LABELS, np.arange(12).astype(str), ("a", "b", "c"), None)}


def settings(steps: int, evaluations: int) -> FitSettings:
    return FitSettings(steps, 6, evaluations, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")


def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(SmallCNN((1, 8, 8)), classes=3)


def steps_moving(unfrozen_by: float) -> dict[str, list[int]]:
    """Of 12 steps, those that moved a layer: its weights, and its statistics as "layer stats"."""
    strategy, states = GradualUnfreezing(network(), unfrozen_by), []

    def note(*_) -> None:
        states.append({key: value.clone() for key, value in strategy.network.state_dict().items()})

    note()
    fit(strategy, POOLS, {}, settings(12, 12), (0, "test"), Monitoring(after_interval=note))
    parts = {"head": "head.weight"} | {f"conv{i}": f"backbone.conv{i}.0.weight" for i in (1, 2, 3)}
    parts |= {f"conv{i} stats": f"backbone.conv{i}.1.running_mean" for i in (1, 2, 3)}
    return {
        part: [i for i, (then, now) in enumerate(pairwise(states)) if not torch.equal(then[key], now[key])]
        for part, key in parts.items()
    }


@pytest.mark.parametrize(
    ("unfrozen_by", "first"),
    [
        (0.5, {"conv3": 2, "conv2": 4, "conv1": 6}),
        (0.75, {"conv3": 3, "conv2": 6, "conv1": 9}),
        (0.0, {"conv3": 0, "conv2": 0, "conv1": 0}),
    ],
)
def test_each_group_thaws_with_its_statistics_at_its_share_of_the_steps(unfrozen_by, first):
    expected = {"head": list(range(12))}
    for layer, step in first.items():
        expected |= {layer: list(range(step, 12)), f"{layer} stats": list(range(step, 12))}
    assert steps_moving(unfrozen_by) == expected


@pytest.mark.parametrize("last", [4, 8])
def test_resumed_is_the_same_as_never_stopped(tmp_path, last):
    def stop(step: int, row: dict) -> None:
        if step == last:
            raise InterruptedError

    def outcome(*where):
        result = fit(
            GradualUnfreezing(network()), POOLS, EVALUATED, settings(12, 3), (0, "test"), Monitoring(*where)
        )
        history = [{key: value for key, value in row.items() if key != "seconds"} for row in result.history]
        return {step: p.numpy().tobytes() for step, p in result.predictions["toy/test"].items()}, history

    with pytest.raises(InterruptedError):
        outcome(tmp_path, stop)
    assert outcome(tmp_path) == outcome()


def test_the_schedule_does_not_depend_on_when_it_is_evaluated():
    def thawed(evaluations: int) -> list[list[bool]]:
        strategy = GradualUnfreezing(network(), unfrozen_by=0.5)
        steps = []
        strategy.losses = lambda batch: (
            steps.append([p.requires_grad for p in strategy.network.parameters()])
            or FineTuning.losses(strategy, batch)
        )
        fit(strategy, POOLS, {}, settings(12, evaluations), (0, "test"))
        return steps

    assert thawed(1) == thawed(4)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_by_which_nothing_would_thaw_is_refused(share):
    with pytest.raises(RequestError, match=rf"strategy.unfrozen_by={share}: .* at least 0 and below 1"):
        GradualUnfreezing(network(), share)


def test_unfreezing_changes_what_is_trained(finished):
    gradual = finished("strategy=gradual_unfreezing")
    at_once = finished("strategy=gradual_unfreezing", "strategy.unfrozen_by=0")
    assert gradual.on_test().tobytes() != at_once.on_test().tobytes()
