"""DELTA: attention and penalty against an independent computation in numpy, and that a resumed run ends the
same."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from transferscope.backbones.mlp import MLP
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.delta import DELTA
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings, Monitoring

LABELS = torch.arange(12) % 3
INPUTS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) + LABELS[:, None]
TARGET = LabelledData(INPUTS, LABELS, torch.zeros(12))
EVALUATED = {"toy/test": EvaluationSet(INPUTS, LABELS, np.arange(12).astype(str), ("a", "b", "c"), None)}


def delta(**arguments) -> DELTA:
    torch.manual_seed(0)
    network = Classifier(MLP((4,), hidden=[8, 6]), classes=3)
    network.backbone(INPUTS * 3)  # statistics of normalisation that are not those of the pool
    return DELTA(network, **arguments)


def features(module, inputs=INPUTS) -> np.ndarray:
    with torch.no_grad():
        return module(inputs).double().numpy()


def attention(standardise: bool) -> np.ndarray:
    """Softmax of the rise in cross-entropy, each channel set to 0 in turn, times the number of channels."""
    x = features(delta().start.eval())
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, LABELS)

    def loss(x: np.ndarray) -> float:
        return -np.log(model.predict_proba(x)[np.arange(12), LABELS]).mean()

    rises = np.array([loss(np.where(np.arange(6) == j, 0, x)) - loss(x) for j in range(6)])
    if standardise:
        rises = (rises - rises.mean()) / np.sqrt(np.mean((rises - rises.mean()) ** 2)) / 5
    return 6 * np.exp(rises) / np.exp(rises).sum()


@pytest.mark.parametrize(("standardise", "deviation"), [(False, 0.06), (True, 0.15)])
def test_attention_is_the_softmax_of_what_each_channel_is_worth(standardise, deviation):
    strategy = delta(standardise=standardise)
    strategy.fit_features(Pools(target=TARGET))
    np.testing.assert_allclose(strategy.attention.numpy(), attention(standardise), atol=6e-3)
    assert strategy.attention.std() > deviation  # not all alike, so that the test can fail


def test_features_of_one_worth_have_one_attention():
    strategy = delta()
    with torch.no_grad():
        for parameter in strategy.start.parameters():
            parameter.zero_()
    strategy.fit_features(Pools(target=TARGET))
    np.testing.assert_allclose(strategy.attention.numpy(), 1, atol=1e-3)


def test_the_history_tells_how_unlike_the_attention_is():
    outcome_history, strategy = run()[1:]
    assert [row.get("attention/sd") for row in outcome_history] == [
        None,
        *[pytest.approx(np.std(attention(True)), abs=6e-3)] * 3,
    ]
    assert strategy.attention.mean().item() == pytest.approx(1)


def test_terms_are_the_attended_distance_of_the_features_and_the_heads_norm():
    strategy = delta(alpha=0.3, beta=0.5)
    strategy.fit_features(Pools(target=TARGET))
    with torch.no_grad():
        for parameter in strategy.network.backbone.parameters():
            parameter += 0.1
    distance = (features(strategy.network.backbone.train()) - features(strategy.start.eval())) ** 2  # [12, 6]
    terms = strategy.losses(Batch(None, TARGET, None))
    assert terms["features"].item() == pytest.approx(
        0.15 * (distance @ strategy.attention.numpy()).mean(), rel=1e-4
    )
    norm = sum(parameter.square().sum().item() for parameter in strategy.network.head.parameters())
    assert terms["head"].item() == pytest.approx(0.25 * norm, rel=1e-5)


def run(*where, alpha: float = 0.01) -> tuple:
    strategy = delta(alpha=alpha)
    settings = FitSettings(12, 6, 3, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")
    outcome = fit(strategy, Pools(target=TARGET), EVALUATED, settings, (0, "test"), Monitoring(*where))
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in outcome.history]
    return (
        {step: p.numpy().tobytes() for step, p in outcome.predictions["toy/test"].items()},
        history,
        strategy,
    )


def test_the_start_stays_what_it_was_and_the_features_stay_near_it():
    *_, near = run(alpha=100.0)
    *_, far = run(alpha=0.0)
    before = delta().start.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in near.start.state_dict().items())
    moved = [
        np.square(features(s.network.backbone.train()) - features(s.start.eval())).sum() for s in (near, far)
    ]
    assert moved[0] < moved[1]


@pytest.mark.parametrize("last", [4, 8])
def test_resumed_is_the_same_as_never_stopped(tmp_path, last):
    def stop(step: int, row: dict) -> None:
        if step == last:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tmp_path, stop)
    assert run(tmp_path)[:2] == run()[:2]


@pytest.mark.parametrize("key", ["alpha", "beta"])
def test_each_term_changes_what_is_trained(finished, key):
    assert (
        finished("strategy=delta").on_test().tobytes()
        != finished("strategy=delta", f"strategy.{key}=0").on_test().tobytes()
    )
