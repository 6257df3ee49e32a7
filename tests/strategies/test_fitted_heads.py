"""Heads fitted once to frozen features: against scikit-learn and numpy, kept in the model, the same when
resumed."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from sklearn import linear_model
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVC

from transferscope.backbones.small_cnn import SmallCNN
from transferscope.backbones.tfidf import TfIdf
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.linear_svm import LinearSVM
from transferscope.strategies.logistic_regression import LogisticRegression
from transferscope.strategies.nearest_mean import NearestMean
from transferscope.strategies.nearest_neighbour import NearestNeighbour, NearestNeighbours
from transferscope.strategies.ridge import CHOICES, LinearSVR, Ridge
from transferscope.tasks.regression import Regression
from transferscope.training import request
from transferscope.training.fit import fit
from transferscope.training.load import load_run
from transferscope.training.settings import FitSettings, Monitoring

HEADS = [LogisticRegression, LinearSVM, NearestMean, NearestNeighbour]
NAMES = ["logistic_regression", "linear_svm", "nearest_mean", "nearest_neighbour"]
SETTINGS = FitSettings(6, 8, 3, partial(torch.optim.AdamW, lr=0.1), "cosine", "cpu", "32-true")


def images(size: int, seed: int, classes: int = 3) -> LabelledData:
    draw = torch.Generator().manual_seed(seed)
    return LabelledData(
        torch.randint(0, 256, (size, 1, 8, 8), generator=draw, dtype=torch.uint8),
        torch.arange(size) % classes,
        torch.zeros(size),
    )


def network(classes: int = 3) -> Classifier:
    torch.manual_seed(0)
    return Classifier(SmallCNN((1, 8, 8)), classes)


def fitted(make, classes: int = 3, *where) -> tuple:
    """(strategy, outcome, numpy features of 30 training and 40 test images, training labels)"""
    pool, test = images(30, 1, classes), images(40, 2, classes)
    evaluated = {
        "toy/test": EvaluationSet(
            test.inputs, test.labels, np.arange(40).astype(str), ("a", "b", "c")[:classes], None
        )
    }
    strategy = make(network(classes))
    outcome = fit(strategy, Pools(target=pool), evaluated, SETTINGS, (0, "test"), Monitoring(*where))
    backbone = network(classes).backbone.eval()
    with torch.no_grad():
        features = [backbone(items.inputs).double().numpy() for items in (pool, test)]
    return strategy, outcome, *features, pool.labels.numpy()


def last(outcome) -> np.ndarray:
    return outcome.predictions["toy/test"][6].numpy()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_logistic_regression_is_scikit_learns_on_standardised_features(classes, C):
    _, outcome, train, test, labels = fitted(partial(LogisticRegression, C=C), classes)
    reference = make_pipeline(StandardScaler(), linear_model.LogisticRegression(C=C, max_iter=1000)).fit(
        train, labels
    )
    np.testing.assert_allclose(last(outcome), reference.predict_proba(test), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_the_svms_margins_are_scikit_learns_and_its_largest_is_the_class(classes, C):
    _, outcome, train, test, labels = fitted(partial(LinearSVM, C=C), classes)
    reference = make_pipeline(StandardScaler(), LinearSVC(C=C, dual=False, max_iter=10_000)).fit(
        train, labels
    )
    margins = reference.decision_function(test)
    expected = np.stack([-margins / 2, margins / 2], 1) if classes == 2 else margins
    np.testing.assert_allclose(
        last(outcome), np.exp(expected) / np.exp(expected).sum(1, keepdims=True), atol=1e-4
    )
    assert (last(outcome).argmax(1) == reference.predict(test)).all()


def test_rows_of_term_weights_are_taken_as_they_are():
    """To unit deviation a term of one text would count as much as one of all of them."""
    draw = np.random.default_rng(0)
    rows = draw.random((40, 6)) * [1, 1, 1, 1, 0.1, 0.01]
    labels = (rows[:, 0] > rows[:, 1]).astype(int)
    heads = [(LogisticRegression, linear_model.LogisticRegression()), (LinearSVM, LinearSVC(dual=False))]
    for make, model in heads:
        strategy = make(Classifier(TfIdf((6,), most_terms=6), 2))
        with torch.no_grad():
            strategy.fit_head(torch.from_numpy(rows).float(), torch.from_numpy(labels))
            outputs = strategy.network.head(torch.from_numpy(rows).float()).numpy()
        expected = model.fit(rows, labels).decision_function(rows)
        np.testing.assert_allclose(outputs[:, 1] - outputs[:, 0], expected, atol=1e-4)


def test_nearest_mean_is_the_softmax_of_negative_squared_distances_to_the_class_means():
    _, outcome, train, test, labels = fitted(NearestMean)
    means = np.stack([train[labels == c].mean(0) for c in range(3)])
    weights = np.exp(-np.square(test[:, None] - means).sum(2))
    np.testing.assert_allclose(last(outcome), weights / weights.sum(1, keepdims=True), atol=1e-6)
    assert last(outcome).std() > 0.001  # untrained features are close to each other


def test_nearest_neighbours_are_scikit_learns_shares():
    _, outcome, train, test, labels = fitted(partial(NearestNeighbours, neighbours=4))
    expected = KNeighborsClassifier(4).fit(train, labels).predict_proba(test)
    np.testing.assert_allclose(outcome.predictions["toy/test"][6].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "model"),
    [
        (partial(Ridge, C=0.1), linear_model.Ridge(alpha=10)),
        (Ridge, linear_model.RidgeCV(alphas=[1 / C for C in CHOICES])),
        (partial(LinearSVR, C=0.1, insensitivity=0.2), SVR(kernel="linear", C=0.1, epsilon=0.2)),
        (partial(NearestNeighbours, neighbours=3), KNeighborsRegressor(3)),
        (NearestNeighbour, KNeighborsRegressor(1)),
    ],
)
def test_heads_of_numbers_are_scikit_learns(make, model):
    rng = np.random.default_rng(0)
    x, values = rng.normal(size=(30, 64)), rng.normal([5.0, 500.0], [1.0, 100.0], size=(30, 2))
    strategy = make(network(2))
    strategy.task = Regression(("a", "b")).fitted([torch.from_numpy(values)])
    features, labels = torch.from_numpy(x).float(), torch.from_numpy(values).float()
    with torch.no_grad():
        strategy.fit_head(features, labels)
        found = strategy.predictions(features).numpy()
    is_near = isinstance(model, KNeighborsRegressor)  # whose features are as they are
    for k in range(2):
        mean, scale = (0.0, 1.0) if is_near else (values[:, k].mean(), values[:, k].std())
        own = model if is_near else make_pipeline(StandardScaler(), model)
        expected = own.fit(x, (values[:, k] - mean) / scale).predict(x) * scale + mean
        np.testing.assert_allclose(found[:, k], expected, rtol=2e-3)


def test_nearest_neighbour_is_certain_of_its_neighbours_class():
    _, outcome, train, test, labels = fitted(NearestNeighbour)
    expected = KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(train, labels).predict(test)
    assert np.array_equal(last(outcome), np.eye(3, dtype=np.float32)[expected])


@pytest.mark.parametrize("make", HEADS)
def test_the_backbone_stays_untouched_and_no_step_moves_the_head(make):
    strategy, outcome, *_ = fitted(make)
    before = network().backbone.state_dict()
    assert all(
        torch.equal(value, before[key]) for key, value in strategy.network.backbone.state_dict().items()
    )
    later = [outcome.predictions["toy/test"][step] for step in (2, 4, 6)]
    assert all(torch.equal(p, later[0]) for p in later)


@pytest.mark.parametrize("make", HEADS)
def test_resumed_is_the_same_as_never_stopped(tmp_path, make):
    def stop(step: int, row: dict) -> None:
        if step == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fitted(make, 3, tmp_path, stop)
    resumed, whole = fitted(make, 3, tmp_path)[1], fitted(make)[1]
    assert resumed.predictions["toy/test"].keys() == whole.predictions["toy/test"].keys()
    assert all(
        torch.equal(p, whole.predictions["toy/test"][step])
        for step, p in resumed.predictions["toy/test"].items()
    )


@pytest.mark.parametrize("make", HEADS)
def test_its_state_is_all_it_predicts_by(make):
    strategy, outcome, *_ = fitted(make)
    anew = make(network())
    anew.load_state_dict(copy.deepcopy(strategy.state_dict()))
    anew.eval()
    with torch.no_grad():
        p = anew.predictions(anew.precompute(images(40, 2).inputs))
    np.testing.assert_allclose(p.numpy(), last(outcome), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_model_predicts_what_its_record_holds(train, name):
    run = train(f"strategy={name}", "keep=selected")
    loaded = load_run(run.folder)
    domain = request.load_domain("target", "blobs", "data")
    items = [list(domain.ids).index(item) for item in run.members["blobs/test/ids"]]
    np.testing.assert_allclose(loaded.predict(domain.inputs[items]).numpy(), run.on_test(), atol=1e-6)


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svm"])
def test_the_penalty_changes_what_is_fitted(finished, name):
    assert (
        finished(f"strategy={name}").on_test().tobytes()
        != finished(f"strategy={name}", "strategy.C=0.01").on_test().tobytes()
    )


def test_which_have_probabilities_that_mean_something():
    assert {make.__name__ for make in HEADS if make.calibrated} == {"LogisticRegression"}
