"""Each score against an independent route, and all of them against the contract of the shelf."""

import doctest
import importlib
import inspect
import math

import numpy as np
import pytest
import scipy.optimize

from transferscope.errors import RequestError
from transferscope.transferability import available
from transferscope.transferability.gbc import FLOOR, gbc
from transferscope.transferability.h_score import h_score
from transferscope.transferability.leep import leep
from transferscope.transferability.logme import logme
from transferscope.transferability.nce import nce
from transferscope.transferability.regression import logme_regression, source_error
from transferscope.transferability.transrate import PRECISION, transrate

OF_CLASSES = {name: f for name, f in available().items() if "labels" in inspect.signature(f).parameters}
OF_FEATURES = {name: f for name, f in OF_CLASSES.items() if "features" in inspect.signature(f).parameters}


def classes_apart(
    by: float, n: int = 60, d: int = 5, classes: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, d] whose class means lie `by` along axes of their own; one further axis, without meaning,
    is four times as wide."""
    labels = np.arange(n) % classes
    noise = np.random.default_rng(seed).normal(size=(n, d))
    noise[:, classes : classes + 1] *= 4
    return noise + by * np.eye(classes, d)[labels], labels


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


# --- all scores


def test_the_public_functions_of_the_folder_are_what_is_available() -> None:
    assert available().keys() >= {"logme", "leep", "nce", "h_score", "transrate", "gbc"}
    assert all(f.__doc__ and not name.startswith("_") for name, f in available().items())


@pytest.mark.parametrize("module", sorted({f.__module__ for f in available().values()}))
def test_the_examples_in_the_docstrings_hold(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(module))
    assert outcome.attempted > 0 and outcome.failed == 0


@pytest.mark.parametrize("name", OF_CLASSES)
def test_predict_can_call_it_with_what_it_has(name: str) -> None:
    needed = {
        p.name for p in inspect.signature(available()[name]).parameters.values() if p.default is p.empty
    }
    assert needed <= {
        "features",
        "labels",
        "source_probabilities",
        "source_predictions",
    }


def score(name: str, features: np.ndarray, labels: np.ndarray) -> float:
    """Scores of predictions get those of a source model that reads the class axes."""
    given = {"features": features, "labels": labels, "source_probabilities": softmax(3 * features[:, :3]),
             "source_predictions": features[:, :3].argmax(1)}  # fmt: skip
    return available()[name](
        **{p: given[p] for p in inspect.signature(available()[name]).parameters if p in given}
    )


@pytest.mark.parametrize("name", OF_CLASSES)
def test_it_grows_with_how_well_the_classes_are_told_apart(name: str) -> None:
    values = [score(name, *classes_apart(by)) for by in (0.0, 1.0, 3.0)]
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("name", OF_CLASSES)
def test_order_of_items_and_names_of_classes_do_not_matter(name: str) -> None:
    features, labels = classes_apart(1.0)
    order = np.random.default_rng(1).permutation(len(labels))
    assert score(name, features[order], np.array([7, 3, 11])[labels[order]]) == pytest.approx(
        score(name, features, labels)
    )


@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_score_of_features_depends_on_neither_their_scale_nor_a_rotation(name: str) -> None:
    features, labels = classes_apart(1.0)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    assert OF_FEATURES[name](100 * features @ rotation, labels) == pytest.approx(
        OF_FEATURES[name](features, labels), rel=1e-6
    )


@pytest.mark.parametrize("name", OF_FEATURES)
def test_more_features_than_items_and_a_constant_feature_have_a_score(name: str) -> None:
    features, labels = classes_apart(1.0, n=12, d=40)
    features[:, 7] = 3.0
    assert math.isfinite(OF_FEATURES[name](features, labels))
    assert math.isfinite(OF_FEATURES[name](np.ones_like(features), labels))


@pytest.mark.parametrize("name", OF_CLASSES)
def test_one_item_in_a_class_has_a_score_or_a_reason(name: str) -> None:
    features, labels = classes_apart(1.0, n=12)
    labels[0] = 3
    if name == "gbc":
        with pytest.raises(
            RequestError, match="gbc: class 3 has 1 labelled item; at least 2 a class are needed"
        ):
            score(name, features, labels)
    else:
        assert math.isfinite(score(name, features, labels))


@pytest.mark.parametrize("name", OF_FEATURES)
def test_what_cannot_be_scored_is_refused_in_one_line(name: str) -> None:
    features, labels = classes_apart(1.0)
    poisoned = features.copy()
    poisoned[3, 2] = np.nan
    for f, y, why in (
        (poisoned, labels, "not finite"),
        (features, labels[:-1], "labels"),
        (features, 0 * labels, "1 class"),
    ):
        with pytest.raises(RequestError, match=rf"^{name}: .*{why}"):
            OF_FEATURES[name](f, y)


# --- each against another route


@pytest.mark.parametrize(
    ("n", "d", "by"), [(30, 5, 1.0), (30, 5, 0.0), (30, 5, 5.0), (14, 25, 1.0), (12, 12, 1.0)]
)
def test_logme_is_the_highest_marginal_likelihood(n: int, d: int, by: float) -> None:
    features, labels = classes_apart(by, n=n, d=d, seed=5)

    def negative(parameters: np.ndarray, y: np.ndarray) -> float:
        alpha, beta = np.exp(np.clip(parameters, -40, 40))
        covariance = np.eye(n) / beta + features @ features.T / alpha
        return 0.5 * (
            n * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + y @ np.linalg.solve(covariance, y)
        )

    columns = [(labels == c).astype(float) for c in range(3)]
    starts = [(0, 0), (4, 2), (-3, 3), (8, 1), (12, 1)]
    options = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000}
    found = [
        min(
            scipy.optimize.minimize(negative, start, args=(y,), method="Nelder-Mead", options=options).fun
            for start in starts
        )
        for y in columns
    ]
    assert logme(features, labels) == pytest.approx(-np.mean(found) / n, abs=1e-6)


def test_logme_of_features_that_say_nothing_is_that_of_noise() -> None:
    labels = np.array([0, 0, 0, 1])
    # of each column, its mean square the noise variance
    noise = [-0.5 * (np.log(2 * np.pi * share) + 1) for share in (3 / 4, 1 / 4)]
    assert logme(np.zeros((4, 3)), labels) == pytest.approx(np.mean(noise))


def test_leep_by_explicit_sums() -> None:
    theta = softmax(np.random.default_rng(0).normal(size=(9, 4)))
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 0, 1])
    joint = {
        (y, z): sum(theta[i, z] for i in range(9) if labels[i] == y) / 9 for y in range(3) for z in range(4)
    }
    total = 0.0
    for i in range(9):
        total += math.log(
            sum(joint[labels[i], z] / sum(joint[y, z] for y in range(3)) * theta[i, z] for z in range(4))
        )
    assert leep(theta, labels) == pytest.approx(total / 9)


def test_leep_of_a_model_that_says_nothing_is_the_entropy_of_the_labels() -> None:
    labels = np.array([0, 0, 0, 1])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert leep(np.full((4, 5), 0.2), labels) == pytest.approx(-entropy)
    # and classes that are never predicted do not matter
    assert leep(np.eye(3)[[0, 0, 0, 0]], labels) == pytest.approx(-entropy)
    for wrong in (np.full((4, 5), 0.3), np.full((4, 5), np.nan), np.full((3, 5), 0.2)):
        with pytest.raises(RequestError, match="^leep: "):
            leep(wrong, labels)


def test_nce_by_explicit_sums() -> None:
    predictions, labels = np.array([0, 0, 0, 2, 2, 5]), np.array([1, 1, 0, 0, 1, 0])
    expected = 2 / 6 * math.log(2 / 3) + 1 / 6 * math.log(1 / 3) + 2 * (1 / 6) * math.log(1 / 2) + 0
    assert nce(predictions, labels) == pytest.approx(expected)
    with pytest.raises(RequestError, match="^nce: "):
        nce(predictions[:-1], labels)


def test_h_score_without_shrinkage_is_the_sum_of_squared_canonical_correlations() -> None:
    features, labels = classes_apart(1.0)
    centred, onehot = features - features.mean(0), np.eye(3)[labels] - np.eye(3)[labels].mean(0)
    correlations = np.linalg.svd(
        np.linalg.svd(centred, full_matrices=False)[0].T @ np.linalg.svd(onehot)[0][:, :2], compute_uv=False
    )
    assert h_score(features, labels, shrinkage=0) == pytest.approx((correlations**2).sum())


def test_h_score_with_shrinkage_in_closed_form() -> None:
    features, labels = np.array([[-3.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [3.0, 1.0]]), np.array([0, 0, 1, 1])
    # covariance diag(5, 1), class means ±(2, 0): with a = ½ the shrunk one is diag(4, 2), so ½ · 4 / 4
    assert h_score(features, labels, shrinkage=0.5) == pytest.approx(0.5)
    with pytest.raises(RequestError, match="shrinkage=2"):
        h_score(features, labels, shrinkage=2)


def test_shrinkage_is_what_keeps_wide_noise_from_the_highest_h_score() -> None:
    features, labels = np.random.default_rng(0).normal(size=(30, 60)), np.arange(30) % 3
    assert h_score(features, labels, shrinkage=0) == pytest.approx(2)  # C - 1
    assert h_score(features, labels) < 1


@pytest.mark.parametrize(("n", "d"), [(12, 3), (9, 20)])
def test_transrate_by_determinants(n: int, d: int) -> None:
    features, labels = classes_apart(1.0, n=n, d=d)
    labels[:2] = 1  # classes of unequal size
    z = features - features.mean(0)
    z /= math.sqrt((z**2).sum() / n)

    def rate(rows: np.ndarray) -> float:
        return math.log(np.linalg.det(np.eye(d) + rows.T @ rows / (len(rows) * PRECISION))) / 2

    expected = rate(z) - sum((labels == c).sum() / n * rate(z[labels == c]) for c in range(3))
    assert transrate(features, labels) == pytest.approx(expected)


def test_gbc_of_two_gaussians_in_closed_form() -> None:
    labels = np.repeat([0, 1], 4)
    x = np.r_[[-1.0, 1.0, -1.0, 1.0], 5 + 2 * np.array([-1.0, 1.0, -1.0, 1.0])]
    a, b = 4 / 3, 16 / 3  # variances over n - 1
    distance = 25 / (4 * (a + b)) + 0.5 * math.log((a + b) / (2 * math.sqrt(a * b)))
    assert gbc(x[:, None], labels) == pytest.approx(-2 * math.exp(-distance))  # both ordered pairs


def test_gbc_takes_no_variance_below_its_floor() -> None:
    x = np.array([[0.0], [0.0], [1.0], [1.0]])  # within a class the feature is constant
    distance = 1 / (8 * FLOOR * x.var())
    assert gbc(x, np.array([0, 0, 1, 1])) == pytest.approx(-2 * math.exp(-distance))


def test_only_64_directions_count_in_gbc() -> None:
    features, labels = classes_apart(2.0, n=300, d=64)
    faint = 1e-4 * np.random.default_rng(1).normal(size=(300, 30))
    assert gbc(np.c_[features, faint], labels) == pytest.approx(gbc(features, labels), rel=1e-3)


# --- where numbers are predicted


def linear(noise: float, n: int = 60, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, d], and two quantities [n, 2] that follow them but for noise."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, d))
    return features, features @ rng.normal(size=(d, 2)) + noise * rng.normal(size=(n, 2))


def test_logme_of_numbers_is_the_largest_density_of_the_linear_model() -> None:
    features, values = linear(0.5)
    z = (values - values.mean(0)) / values.std(0)

    def loss(logs: np.ndarray, y: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = features @ features.T / alpha + np.eye(len(y)) / beta
        _, logdet = np.linalg.slogdet(covariance)
        return float(len(y) * np.log(2 * np.pi) + logdet + y @ np.linalg.solve(covariance, y)) / 2 / len(y)

    best = [scipy.optimize.minimize(loss, np.zeros(2), (y,), "Nelder-Mead").fun for y in z.T]
    assert logme_regression(features, values) == pytest.approx(-np.mean(best), abs=1e-5)


def test_scores_of_numbers_grow_with_what_features_tell_and_have_no_unit() -> None:
    scores = [logme_regression(*linear(noise)) for noise in (10.0, 1.0, 0.1)]
    assert scores == sorted(scores)
    features, values = linear(1.0)
    assert logme_regression(features, 1000 * values + 7) == pytest.approx(logme_regression(features, values))
    guess = values + np.random.default_rng(1).normal(size=values.shape)
    assert source_error(1000 * values, 1000 * guess) == pytest.approx(source_error(values, guess))
    assert source_error(values, guess) < source_error(values, values) == 0


def test_numbers_that_cannot_be_scored_are_refused_in_one_line() -> None:
    features, values = linear(1.0)
    for f, v, line in (
        (features, np.ones_like(values), "all 60 labelled items have one value"),
        (features * np.nan, values, "not finite"),
        (features[:5], values, r"\[N, d\] and \[N, T\] are needed"),
    ):
        with pytest.raises(RequestError, match=line):
            logme_regression(f, v)
