"""Trainings that went wrong in a way that is planted, and what they are called."""

from functools import partial

import numpy as np
import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.strategies.dann import DANN
from transferscope.strategies.target_only import TargetOnly
from transferscope.tasks.classification import Classification
from transferscope.training import evaluate
from transferscope.training.fit import fit
from transferscope.training.settings import FitResult, FitSettings

TASK = Classification(("a", "b", "c"))
LABELS = torch.arange(90) % 3
TEST = EvaluationSet(
    torch.randn(90, 4, generator=torch.Generator().manual_seed(1)),
    LABELS,
    np.arange(90).astype(str),
    ("a", "b", "c"),
    None,
)


def trained_strategy(
    kind: type = TargetOnly, shift: float = 0.0, rate: float = 0.02, **arguments
) -> tuple[Strategy, FitResult]:
    """On blobs; the source is the target moved by `shift`."""
    torch.manual_seed(0)
    items = TEST.inputs + 3 * torch.nn.functional.one_hot(LABELS, 4)
    target, source = (LabelledData(inputs, LABELS, torch.zeros(90)) for inputs in (items, items + shift))
    strategy = kind(Classifier(MLP((4,), hidden=[16]), classes=3), **arguments)
    pools = Pools(source, target, items) if kind is DANN else Pools(target=target)
    settings = FitSettings(150, 32, 3, partial(torch.optim.AdamW, lr=rate), "constant", "cpu", "32-true")
    evaluated = {"toy/test": EvaluationSet(items, LABELS, TEST.ids, TEST.classes, None)}
    return strategy, fit(strategy, pools, evaluated, settings, (0, "odd"))


def trained(kind: type = TargetOnly) -> FitResult:
    return trained_strategy(kind)[1]


def collapse(outcome: FitResult) -> str:
    return evaluate.collapse(outcome, "toy/test", LABELS, TASK)


# --- what a strategy says of its training


def test_a_discriminator_that_nothing_works_against_is_saturated():
    strategy, outcome = trained_strategy(DANN, shift=5.0, trade_off=0.0)
    assert outcome.history[-1]["loss/domain"] < 0.05
    # no collapse: no feature was trained against it
    assert strategy.diagnose(outcome.history) == ("", ("saturated discriminator",))


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_discriminator_that_is_kept_guessing_is_not(shift):
    strategy, outcome = trained_strategy(DANN, shift=shift, rate=0.002)
    assert 0.3 < outcome.history[-1]["loss/domain"] < 1.0 and strategy.diagnose(outcome.history) == ("", ())


def test_a_strategy_without_discriminator_has_no_such_flag():
    strategy, outcome = trained_strategy()
    assert strategy.diagnose(outcome.history) == ("", ())


def test_only_the_last_interval_counts():
    strategy = DANN(Classifier(MLP((4,), hidden=[16]), classes=3))
    rows = [{"step": 0}, {"step": 1, "loss/domain": 0.01}, {"step": 2, "loss/domain": 0.6}]
    assert strategy.diagnose(rows) == ("", ())
    assert strategy.diagnose(rows[:2]) == (
        "saturated discriminator: cross-entropy 0.010 over the last interval",
        ("saturated discriminator",),
    )
    assert strategy.diagnose(rows[:1]) == ("", ())  # diverged before the first interval ended


# --- collapse


def test_a_good_training_has_not_collapsed():
    assert collapse(trained()) == ""


class Constant(TargetOnly):
    def logits(self, inputs):
        return super().logits(inputs) * 0 + torch.tensor([0.0, 9.0, 0.0])


class AllEqual(TargetOnly):
    def logits(self, inputs):
        return super().logits(inputs) * 0


class Guessing(TargetOnly):
    """Says of each item what holds for another one."""

    def predictions(self, inputs):
        return super().predictions(inputs)[
            torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
        ]


class NanAtLast(TargetOnly):
    """One class of one item is NaN at the last evaluation, while every loss is finite."""

    def predictions(self, inputs):
        p = super().predictions(inputs).clone()
        if self.steps_done == 150:
            p[5, 1] = torch.nan
        return p


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Constant, "constant predictor: one class for 100% of the test items"),
        (AllEqual, "constant predictor: one class for 100% of the test items"),
        (Guessing, "chance-level predictor"),
        (NanAtLast, "probabilities that are not finite at the last evaluation"),
    ],
)
def test_planted_collapse(kind, reason):
    outcome = trained(kind)
    assert outcome.status == "done" and collapse(outcome).startswith(reason)


def test_scores_of_a_training_that_ends_in_nan_are_of_the_evaluation_before():
    outcome, whole = trained(NanAtLast), trained()
    items = {"toy/test": EvaluationSet(TEST.inputs, LABELS, TEST.ids, TEST.classes, None)}
    assert evaluate.metrics(outcome, items, TASK) == {
        f"toy/test/{metric}": value
        for metric, value in TASK.scores(whole.predictions["toy/test"][100], LABELS).items()
    }


def test_a_diverged_training_keeps_its_last_finite_evaluation():
    class Breaking(TargetOnly):
        def losses(self, batch):
            return {"target": super().losses(batch)["target"] * (torch.nan if self.progress > 0.8 else 1)}

    outcome, whole = trained(Breaking), trained()
    assert outcome.status == "diverged" and [row["step"] for row in outcome.history] == [0, 50, 100]
    items = {"toy/test": EvaluationSet(TEST.inputs, LABELS, TEST.ids, TEST.classes, None)}
    expected = TASK.scores(whole.predictions["toy/test"][100], LABELS)["accuracy"]
    assert evaluate.metrics(outcome, items, TASK)["toy/test/accuracy"] == expected > 0.9
