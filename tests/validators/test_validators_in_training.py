"""Validators that are read while training goes on: what they are read of, and that nothing else notices."""

from functools import partial

import numpy as np
import pytest
import torch

from transferscope import validators
from transferscope.backbones.mlp import MLP
from transferscope.backbones.small_cnn import SmallCNN
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.strategies.dann import DANN
from transferscope.strategies.feature_extraction import FeatureExtraction
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.fit import fit
from transferscope.training.settings import FitResult, FitSettings, Monitoring, validator_items

SETTINGS = FitSettings(12, 4, 3, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")


def draw(size: int, seed: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (size, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def labelled(size: int, seed: int) -> LabelledData:
    return LabelledData(draw(size, seed), torch.arange(size) % 3, torch.zeros(size, dtype=torch.int64))


TEST, WATCHED = labelled(30, 1), draw(60, 2)
EVALUATED = {
    "toy/test": EvaluationSet(TEST.inputs, TEST.labels, np.arange(30).astype(str), ("a", "b", "c"), None)
}
POOLS = {
    TargetOnly: Pools(target=labelled(10, 3)),
    FeatureExtraction: Pools(target=labelled(10, 3)),
    DANN: Pools(labelled(20, 4), labelled(10, 3), draw(15, 5)),
}


def made(kind: type[Strategy]) -> Strategy:
    torch.manual_seed(0)
    return kind(Classifier(SmallCNN((1, 8, 8)), classes=3))


def train(
    kind: type[Strategy],
    strategy: Strategy | None = None,
    watched: torch.Tensor | None = WATCHED,
    **arguments,
) -> FitResult:
    return fit(
        strategy or made(kind),
        POOLS[kind],
        EVALUATED,
        SETTINGS,
        (0, "test"),
        Monitoring(validator_inputs=watched, **arguments),
    )


def history(outcome: FitResult, validators_too: bool = True) -> list[dict]:
    return [
        {k: v for k, v in row.items() if k != "seconds" and (validators_too or "validator/" not in k)}
        for row in outcome.history
    ]


@pytest.mark.parametrize("kind", POOLS)
def test_watching_changes_neither_weights_nor_probabilities_nor_losses(kind):
    watched, alone = made(kind), made(kind)
    seen, expected = train(kind, watched), train(kind, alone, watched=None)
    assert all(
        torch.equal(a, b)
        for a, b in zip(watched.state_dict().values(), alone.state_dict().values(), strict=True)
    )
    for step, p in expected.predictions["toy/test"].items():
        assert torch.equal(seen.predictions["toy/test"][step], p)
    assert history(seen, validators_too=False) == history(expected)
    assert not [key for row in expected.history for key in row if key.startswith("validator/")]


@pytest.mark.parametrize("kind", POOLS)
def test_the_last_row_holds_the_values_of_the_trained_network(kind):
    strategy = made(kind)
    outcome = train(kind, strategy)
    strategy.eval()
    with torch.no_grad():
        features = strategy.network.backbone(WATCHED)
        p = torch.softmax(strategy.network.head(features), 1)
    expected = validators.read(p.numpy(), features.numpy())
    assert {
        key.removeprefix("validator/"): value
        for key, value in outcome.history[-1].items()
        if key.startswith("validator/")
    } == {name: pytest.approx(value, rel=1e-4) for name, value in expected.items()}


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("last", [4, 8])
def test_a_resumed_fit_has_the_history_of_one_never_stopped(kind, last, tmp_path):
    def stop(step: int, row: dict) -> None:
        if step == last:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(kind, folder=tmp_path, after_interval=stop)
    resumed = history(train(kind, folder=tmp_path))
    assert resumed == history(train(kind))
    assert all(f"validator/{name}" in row for row in resumed[1:] for name in validators.label_free())


def test_without_features_of_the_backbone_the_predictions_stand_in():
    class Twice(TargetOnly):
        """Asks its backbone about every item two times."""

        def logits(self, inputs):
            return self.network(torch.cat([inputs, inputs]))[: len(inputs)]

    row = train(TargetOnly, made(Twice)).history[-1]
    assert {f"validator/{name}" for name in validators.label_free()} <= row.keys()


def test_a_value_that_is_not_finite_is_left_out():
    class Undecided(TargetOnly):
        def predictions(self, inputs):
            return super().predictions(inputs) * (torch.nan if self.steps_done == 8 else 1)

    kept = [
        [key for key in row if key.startswith("validator/")]
        for row in train(TargetOnly, made(Undecided)).history
    ]
    assert [len(keys) for keys in kept] == [5, 5, 0, 5]


@pytest.mark.parametrize(
    ("steps", "batch", "evaluations", "items"),
    [(300, 32, 10, 174), (12, 4, 3, 100), (20_000, 128, 20, 2000), (5000, 32, 10, 2000)],
)
def test_long_trainings_read_more_items(steps, batch, evaluations, items):
    assert validator_items(SETTINGS._replace(steps=steps, batch_size=batch, evaluations=evaluations)) == items


def test_no_more_items_are_read_than_that():
    class Counting(TargetOnly):
        def predictions(self, inputs):
            self.asked = [*getattr(self, "asked", []), len(inputs)]
            return super().predictions(inputs)

    torch.manual_seed(0)
    strategy = Counting(Classifier(MLP((4,), hidden=[8]), classes=3))
    pools = Pools(target=LabelledData(torch.randn(10, 4), torch.arange(10) % 3, torch.zeros(10)))
    fit(strategy, pools, {}, SETTINGS, (0, "test"), Monitoring(validator_inputs=torch.randn(5000, 4)))
    assert strategy.asked == [100] * 4
