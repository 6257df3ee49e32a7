"""Safe choice: what it falls back on is the scratch run, and what it chooses by is a rule that a hand can
follow."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tiny_adaptation import Linear, network
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.store.record import read_history
from transferscope.strategies.safe_choice import SafeChoice
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.fit import fit
from transferscope.training.load import load_run
from transferscope.training.settings import FitSettings


def choices(run) -> list[float]:
    return [row["choice/transfer"] for row in read_history(run.folder)]


def validators(run, step: int) -> dict[str, float]:
    (row,) = [row for row in read_history(run.folder) if row["step"] == step]
    return {key: value for key, value in row.items() if key.startswith("validator/")}


def pool(size: int, draw: int = 0) -> LabelledData:
    random, labels = torch.Generator().manual_seed(draw), torch.arange(size) % 3
    return LabelledData(torch.randn(size, 3, generator=random) + labels[:, None], labels, torch.zeros(size))


@pytest.mark.parametrize("others", [(), ("twin=true",), ("label_budget=2",)])
def test_where_it_falls_back_it_is_the_scratch_run_bit_for_bit(finished, others):
    """The tiny source model is no better than scratch on six validation items; below 5 labels a class there
    are none at all."""
    run, scratch = finished("strategy=safe_choice", *others), finished("strategy=scratch", *others)
    fell_back = [step for step, chosen in zip((0, 4, 8, 12), choices(run), strict=True) if not chosen]
    assert 12 in fell_back and (len(fell_back) == 4 or "label_budget=2" not in others)
    for step in fell_back:
        assert run.on_test(step).tobytes() == scratch.on_test(step).tobytes()
        # which read the features of the network that answers
        assert validators(run, step) == validators(scratch, step) != {}
    assert (
        "scratch was chosen" in run.record["result"]["flags"]
        and run.record["subset"] == scratch.record["subset"]
    )


def test_what_it_transfers_is_better_and_the_steps_of_both_arms_count(finished):
    enough = ("label_budget=50", "trainer.source_steps=60")
    run, scratch = finished("strategy=safe_choice", *enough), finished("strategy=scratch", *enough)
    accuracy = [it.record["result"]["metrics"]["blobs/test/accuracy"] for it in (run, scratch)]
    assert choices(run)[-1] == 1 and accuracy[0] > accuracy[1] and run.record["result"]["flags"] == []
    assert run.record["result"]["steps"] == {"target": 24, "source": 60}
    assert scratch.record["result"]["steps"]["target"] == 12


class Told(nn.Module):
    """Logits as told, whatever the inputs."""

    def __init__(self, p: list[float]):
        super().__init__()
        self.logits = torch.log(torch.tensor([[p, 1 - p] for p in p]))

    def forward(self, inputs):
        return self.logits


@pytest.mark.parametrize(
    ("transfer", "chosen"),
    [
        # p of the right class; scratch has 0.5, so that its Brier scores are 0.5 and g = 0.5 - 2 (1 - p)²
        ([0.5, 0.5, 0.5], False),  # equal: scratch
        ([0.6, 0.6, 0.6], True),  # g = 0.18 for each: no standard error
        ([0.7, 0.7, 0.3], False),  # g = 0.32, 0.32, -0.48: mean 0.053, standard error 0.267
        ([0.9, 0.9, 0.5], True),  # g = 0.48, 0.48, 0: mean 0.32, standard error 0.16
        ([0.4, 0.4, 0.4], False),
    ],
)
def test_the_rule_by_hand(transfer, chosen):
    strategy = SafeChoice(network())
    strategy.alone, strategy.network = Told([0.5, 0.5, 0.5]), Told(transfer)
    validation = LabelledData(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64), torch.zeros(3))
    assert strategy.begin_evaluation(Pools(validation=validation)) == {"choice/transfer": float(chosen)}
    assert strategy.predictor is (strategy.network if chosen else strategy.alone)


class Dropping(Linear):
    def forward(self, inputs):
        return nn.functional.dropout(self.layer(inputs), 0.5, self.training)


def test_dropout_of_the_other_arm_leaves_the_scratch_arm_its_own_draws():
    settings = FitSettings(20, 6, 2, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")
    test = pool(30, draw=1)
    evaluated = {
        "toy/test": EvaluationSet(test.inputs, test.labels, np.arange(30).astype(str), ("a", "b", "c"), None)
    }
    outcomes = []
    for kind in (TargetOnly, SafeChoice):
        torch.manual_seed(0)
        start = Classifier(Dropping(), classes=3)
        if kind is SafeChoice:
            start.scratch = {name: value.clone() for name, value in start.state_dict().items()}
            nn.init.ones_(start.head.weight)
        outcomes.append(fit(kind(start), Pools(target=pool(12)), evaluated, settings, (0, "test")))
    assert all(
        torch.equal(*(outcome.predictions["toy/test"][step] for outcome in outcomes)) for step in (0, 10, 20)
    )


@pytest.mark.parametrize("budget", [2, 50])
def test_a_kept_model_answers_as_the_run_chose(train, pair, budget):
    run = train(
        "strategy=safe_choice",
        "strategy.backbone_rate=1",
        f"label_budget={budget}",
        "keep=selected",
        domains=pair,
    )
    position = {item: number for number, item in enumerate(pair["blobs"].ids)}
    inputs = pair["blobs"].inputs[[position[item] for item in run.members["blobs/test/ids"]]]
    assert choices(run)[-1] == (budget == 50)
    np.testing.assert_allclose(load_run(run.folder).predict(inputs), run.on_test(), rtol=1e-5)
