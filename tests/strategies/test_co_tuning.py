"""Co-Tuning: the relation of the classes by hand, the source's own head, and that a resumed run ends the
same."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from transferscope.backbones.mlp import MLP
from transferscope.cli.main import main
from transferscope.data import shifted_blobs
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.co_tuning import CoTuning, source_given_target
from transferscope.training import request as requests
from transferscope.training.fit import fit
from transferscope.training.load import load_run
from transferscope.training.run import build
from transferscope.training.settings import FitSettings, Monitoring

LABELS = torch.arange(12) % 3
INPUTS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0)) + LABELS[:, None]
TARGET = LabelledData(INPUTS, LABELS, torch.zeros(12))
EVALUATED = {"toy/test": EvaluationSet(INPUTS, LABELS, np.arange(12).astype(str), ("a", "b", "c"), None)}


def co_tuning(**arguments) -> CoTuning:
    """Three target classes after a source of five."""
    torch.manual_seed(0)
    source, network = (Classifier(MLP((4,), hidden=[8, 6]), classes=classes) for classes in (5, 3))
    source.backbone(INPUTS * 2)
    network.load_source(source.state_dict(), keep_head=False)
    return CoTuning(network, **arguments)


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.logaddexp.reduce(z, axis=1, keepdims=True)


def regressed(x: np.ndarray, labels: np.ndarray, strength: float) -> np.ndarray:
    """Weights [C, S] of least summed cross-entropy + |W|² / (2 strength), by scipy."""
    hot, shape = np.eye(3)[labels], (3, x.shape[1])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        log_p = log_softmax(x @ weights.T)
        return -(hot * log_p).sum() + np.square(weights).sum() / (2 * strength), (
            (np.exp(log_p) - hot).T @ x + weights / strength
        ).ravel()

    return minimize(
        objective, np.zeros(np.prod(shape)), jac=True, tol=1e-12, options={"maxiter": 5000}
    ).x.reshape(shape)


def test_the_relation_is_that_of_the_reverse_approach():
    """Strength and temperature of least cross-entropy on items left out, found by scipy on a grid of
    temperatures; Bayes' rule item by item."""
    labels = np.arange(45) % 3
    draw = np.random.default_rng(1)
    z = 1.5 * draw.normal(size=(45, 5)) + 2 * np.eye(5)[2 * labels]
    x = np.exp(log_softmax(z))
    fold = np.arange(45) // 3 // 3  # three of the fifteen of each class in turn
    temperatures, losses = np.exp(np.linspace(-3, 3, 241)), {}
    for strength in 10.0 ** np.arange(-4, 5):
        left_out = np.empty((45, 3))
        for k in range(5):
            left_out[fold == k] = x[fold == k] @ regressed(x[fold != k], labels[fold != k], strength).T
        for t in temperatures:
            losses[strength, t] = -log_softmax(t * left_out)[np.arange(45), labels].mean()
    strength, sharpness = min(losses, key=losses.get)
    assert 0.05 < sharpness < 20 and 1e-4 < strength < 1e4  # a minimum within
    given_source = np.exp(
        log_softmax(sharpness * regressed(x, labels, strength).T)
    )  # [5, 3]: the regression at each source class's corner
    expected = np.zeros((3, 5))
    for t in range(3):
        for s in range(5):
            expected[t, s] = (
                given_source[s, t]
                * x[:, s].mean()
                / sum(given_source[k, t] * x[:, k].mean() for k in range(5))
            )
    np.testing.assert_allclose(
        source_given_target(torch.from_numpy(x), torch.from_numpy(labels)).numpy(), expected, atol=0.01
    )


def test_with_few_labels_it_is_the_mean_of_each_class():
    p = torch.softmax(torch.randn(27, 5, generator=torch.Generator().manual_seed(1)), 1)
    labels = torch.arange(27) % 3
    expected = [
        np.mean([row for row, label in zip(p.tolist(), labels.tolist(), strict=True) if label == t], axis=0)
        for t in range(3)
    ]
    np.testing.assert_allclose(source_given_target(p, labels).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("labels_a_class", "least"), [(5, 0.65), (20, 0.95)])
def test_unsure_source_probabilities_do_not_wash_the_relation_out(labels_a_class, least):
    """Each target class is two of twenty source classes, told with a probability of about 0.7: what its row
    gives these two, 0.1 at chance. With scikit-learn's C = 1 and no temperature it was 0.35 and 0.75."""
    draw, labels = np.random.default_rng(0), np.arange(10 * labels_a_class) % 10
    z = (
        draw.normal(size=(len(labels), 20))
        + 4.5 * np.eye(20)[2 * labels + draw.integers(2, size=len(labels))]
    )
    table = source_given_target(torch.from_numpy(np.exp(log_softmax(z))), torch.from_numpy(labels)).numpy()
    assert np.mean([table[t, 2 * t] + table[t, 2 * t + 1] for t in range(10)]) > least
    np.testing.assert_allclose(table.sum(1), 1, atol=1e-6)


def test_a_target_class_that_looks_like_one_source_class_is_told_to_be_it():
    p = torch.eye(4)[torch.tensor([3, 1, 0]).repeat(200)] * 0.97 + 0.0075
    assert source_given_target(p, torch.arange(3).repeat(200)).argmax(1).tolist() == [3, 1, 0]


def test_terms_are_the_two_cross_entropies_of_the_two_heads():
    strategy = co_tuning(trade_off=0.7)
    strategy.fit_features(Pools(target=TARGET))
    relation = strategy.source.given_target.double().numpy()
    assert relation.shape == (3, 5) and relation.sum(1) == pytest.approx([1, 1, 1])
    strategy.eval()
    terms = strategy.losses(Batch(None, TARGET, None))
    with torch.no_grad():
        features = strategy.network.backbone(INPUTS).double().numpy()
    weight, bias = (
        parameter.detach().double().numpy() for parameter in (strategy.source.weight, strategy.source.bias)
    )
    log_p = log_softmax(features @ weight.T + bias)
    assert terms["source"].item() == pytest.approx(-0.7 * (relation[LABELS] * log_p).sum(1).mean(), rel=1e-5)
    own = log_softmax(strategy.network.head(torch.from_numpy(features).float()).detach().double().numpy())
    assert terms["target"].item() == pytest.approx(-own[np.arange(12), LABELS].mean(), rel=1e-5)


def test_the_source_head_is_the_source_models_and_both_heads_are_trained():
    strategy = co_tuning()
    torch.manual_seed(0)
    head = Classifier(MLP((4,), hidden=[8, 6]), classes=5).head
    assert torch.equal(strategy.source.weight, head.weight) and torch.equal(strategy.source.bias, head.bias)
    before = {key: parameter.detach().clone() for key, parameter in strategy.named_parameters()}
    settings = FitSettings(4, 12, 1, partial(torch.optim.SGD, lr=0.1), "constant", "cpu", "32-true")
    fit(strategy, Pools(target=TARGET), {}, settings, (0, "test"))
    assert all(not torch.equal(parameter, before[key]) for key, parameter in strategy.named_parameters())


@pytest.mark.parametrize("last", [4, 8])
def test_resumed_is_the_same_as_never_stopped(tmp_path, last):
    def run(*where) -> tuple:
        settings = FitSettings(12, 6, 3, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")
        outcome = fit(co_tuning(), Pools(target=TARGET), EVALUATED, settings, (0, "test"), Monitoring(*where))
        history = [{key: value for key, value in row.items() if key != "seconds"} for row in outcome.history]
        return {step: p.numpy().tobytes() for step, p in outcome.predictions["toy/test"].items()}, history

    def stop(step: int, row: dict) -> None:
        if step == last:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tmp_path, stop)
    assert run(tmp_path) == run()


def test_it_starts_from_the_source_models_head_where_classes_differ(config, tmp_path, pair, monkeypatch):
    other = shifted_blobs.load("blobs_shifted", classes=4, draw=1)
    monkeypatch.setattr(
        requests, "load_domain", lambda key, name, *_: {"blobs": pair["blobs"], "blobs_shifted": other}[name]
    )
    request = requests.resolve(config("strategy=co_tuning", f"store={tmp_path}"))
    strategy, _ = build(request, request.run_data())
    assert strategy.source.weight.shape == (4, 16) and strategy.network.head.weight.shape == (3, 16)


def test_without_a_source_model_it_is_refused(tmp_path, capsys):
    asked = [
        "target=handwritten_digits",
        "strategy=co_tuning",
        "backbone=timm",
        "backbone.weights=pretrained",
        f"store={tmp_path}",
    ]
    assert main(["run", *asked]) == 2
    assert "strategy co_tuning needs a source model; give source=DOMAIN" in capsys.readouterr().err


def test_a_kept_model_predicts_what_its_record_holds(train):
    run = train("strategy=co_tuning", "keep=selected")
    loaded = load_run(run.folder)
    domain = requests.load_domain("target", "blobs", "data")
    items = [list(domain.ids).index(item) for item in run.members["blobs/test/ids"]]
    np.testing.assert_allclose(loaded.predict(domain.inputs[items]).numpy(), run.on_test(), atol=1e-6)


def test_the_source_head_changes_what_is_trained(finished):
    with_it, without = finished("strategy=co_tuning"), finished("strategy=co_tuning", "strategy.trade_off=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
