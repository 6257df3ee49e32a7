"""Values by hand, against another route to them, and in cases whose order is known."""

import numpy as np
import pytest
from scipy.special import rel_entr, softmax
from scipy.stats import entropy as entropy_of
from sklearn.metrics import calinski_harabasz_score, mutual_info_score

from transferscope.errors import RequestError
from transferscope.validators.bnm import bnm
from transferscope.validators.class_clustering import class_clustering
from transferscope.validators.dev import dev
from transferscope.validators.entropy import entropy
from transferscope.validators.iwcv import importance_weights, iwcv
from transferscope.validators.mutual_information import mutual_information
from transferscope.validators.reverse_validation import reverse_validation
from transferscope.validators.snd import ROWS, snd

DRAW = np.random.default_rng(0)
P = DRAW.dirichlet(np.full(5, 0.4), 400)
X = DRAW.normal(size=(400, 3)) + 2 * np.eye(5)[P.argmax(1), :3]
LOSSES, WEIGHTS = DRAW.exponential(size=50), DRAW.lognormal(size=50)


# --- of unlabelled items


def test_entropy():
    assert entropy(np.array([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])) == pytest.approx(
        -(np.log(2) + np.log(3)) / 2
    )
    assert entropy(P) == pytest.approx(-entropy_of(P, axis=1).mean())


def test_mutual_information():
    half = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert mutual_information(half) == pytest.approx(np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    # mean KL divergence to the mean prediction
    assert mutual_information(P) == pytest.approx(rel_entr(P, P.mean(0)).sum(1).mean())
    certain = P.argmax(1)
    assert mutual_information(np.eye(5)[certain]) == pytest.approx(mutual_info_score(np.arange(400), certain))


def test_bnm():
    assert bnm(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])) == pytest.approx((np.sqrt(2) + 1) / 3)
    assert bnm(P) == pytest.approx(np.sqrt(np.linalg.eigvalsh(P.T @ P)).sum() / 400)
    assert 1 / np.sqrt(400 * 5) < bnm(P) < np.sqrt(5 / 400)


def snd_as_written(p: np.ndarray, temperature: float) -> float:
    unit = p / np.sqrt((p**2).sum(1, keepdims=True))
    neighbours = [softmax(np.delete(unit @ unit[i], i) / temperature) for i in range(len(p))]
    return float(np.mean([entropy_of(each) for each in neighbours]))


@pytest.mark.parametrize(
    ("n", "temperature"), [(2, 0.05), (30, 0.05), (30, 1.0), (ROWS, 0.05), (ROWS + 7, 0.05)]
)
def test_snd(n, temperature):
    assert snd(P[:n], temperature) == pytest.approx(snd_as_written(P[:n], temperature), abs=1e-12)


def test_snd_of_two_tight_classes_counts_the_others_of_the_own_class():
    assert snd(np.eye(2)[[0] * 6 + [1] * 6]) == pytest.approx(np.log(5), abs=1e-4)


def test_class_clustering():
    assert class_clustering(P, X) == pytest.approx(calinski_harabasz_score(X, P.argmax(1)))
    # neither place nor scale
    assert class_clustering(P, 1e4 + 10 * X) == pytest.approx(class_clustering(P, X), rel=1e-6)
    shuffled = P[np.random.default_rng(1).permutation(400)]
    assert class_clustering(shuffled, X) < class_clustering(P, X) / 10


def test_class_clustering_at_its_edges():
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert class_clustering(np.eye(2)[[0, 0, 1, 1]], x) == np.inf
    assert class_clustering(np.eye(2)[[0, 1, 0, 1]], x) == 0
    assert np.isnan(class_clustering(np.eye(4), x))
    with pytest.raises(RequestError, match="features"):
        class_clustering(P, X[:10])


@pytest.mark.parametrize("validator", [entropy, mutual_information, bnm])
def test_surer_predictions_of_the_same_classes_are_valued_more(validator):
    surer = P**3 / (P**3).sum(1, keepdims=True)
    assert validator(surer) > validator(P)


def test_collapse_is_seen_by_some_and_praised_by_others():
    constant = np.eye(5)[np.zeros(400, dtype=int)]
    assert mutual_information(constant) < mutual_information(P) and bnm(constant) < bnm(P)
    assert class_clustering(constant, X) < class_clustering(P, X)
    assert entropy(constant) > entropy(P) and snd(constant) > snd(P)


# --- of source losses


def test_iwcv_is_the_weighted_risk():
    assert iwcv(LOSSES, np.ones(50)) == pytest.approx(-LOSSES.mean())
    assert iwcv(LOSSES, WEIGHTS) == pytest.approx(-np.average(LOSSES, weights=WEIGHTS) * WEIGHTS.mean())


def test_dev_is_what_the_regression_of_weighted_losses_on_weights_says_at_weight_one():
    assert dev(LOSSES, WEIGHTS) == pytest.approx(-np.polyval(np.polyfit(WEIGHTS, LOSSES * WEIGHTS, 1), 1.0))
    assert dev(np.array([1.0, 0.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(1 / 6)


def test_dev_of_equal_weights_or_one_item_is_iwcv():
    assert dev(LOSSES, np.full(50, 0.7)) == pytest.approx(iwcv(LOSSES, np.full(50, 0.7)))
    assert dev(np.array([2.0]), np.array([3.0])) == -6.0


def test_dev_varies_less_than_iwcv_over_samples():
    """Source N(0, 1), target N(0.5, 1): the ratio at x is exp(x / 2 - 1 / 8). Loss 1 + x² has risk 2.25 on
    the target."""
    x = np.random.default_rng(2).normal(size=(500, 200))
    ratio = np.exp(x / 2 - 1 / 8)
    estimates = {
        rule: np.array([rule(1 + row**2, w) for row, w in zip(x, ratio, strict=True)]) for rule in (iwcv, dev)
    }
    assert estimates[iwcv].mean() == pytest.approx(-2.25, abs=0.05) and estimates[
        dev
    ].mean() == pytest.approx(-2.25, abs=0.1)
    assert estimates[dev].std() < 0.8 * estimates[iwcv].std()


@pytest.mark.parametrize("validator", [iwcv, dev])
def test_losses_and_weights_must_go_together(validator):
    for losses, weights in ((LOSSES, WEIGHTS[:-1]), (LOSSES[:0], WEIGHTS[:0]), (LOSSES, -WEIGHTS)):
        with pytest.raises(RequestError, match="needed"):
            validator(losses, weights)


def test_importance_weights_of_two_gaussians():
    draw = np.random.default_rng(3)
    source = draw.normal(size=(20000, 1))
    target = draw.normal(0.5, 1, size=(5000, 1))
    at = np.linspace(-1, 2, 7)[:, None]
    np.testing.assert_allclose(importance_weights(source, target, at), np.exp(at[:, 0] / 2 - 1 / 8), rtol=0.1)
    assert importance_weights(source, target, draw.normal(size=(5000, 1))).mean() == pytest.approx(
        1, abs=0.05
    )


def test_importance_weights_refuse_what_they_cannot_use():
    for source, target, at in ((X, X[:, :2], X), (X, X, X[0]), (X, X * np.nan, X)):
        with pytest.raises(RequestError, match="finite features"):
            importance_weights(source, target, at)


# --- by training backwards


def nearest_mean(inputs: np.ndarray, labels: np.ndarray, unlabelled: np.ndarray):
    classes = np.unique(labels)
    means = np.stack([inputs[labels == c].mean(0) for c in classes])
    return lambda items: classes[((items[:, None] - means) ** 2).sum(2).argmin(1)]


LABELS = np.arange(200) % 2
SOURCE = np.random.default_rng(4).normal(size=(200, 2)) * 0.3 + 2 * LABELS[:, None]
TARGET, VAL = SOURCE[::-1] + 0.2, SOURCE + 0.1


def backwards(fit, guessed: np.ndarray) -> float:
    return reverse_validation(fit, TARGET, guessed, SOURCE, VAL, LABELS)


def test_reverse_validation_falls_with_every_target_item_that_is_guessed_wrong():
    flipped = LABELS[::-1].copy()
    values = []
    for wrong in (0, 60, 100, 140, 200):
        guessed = flipped.copy()
        guessed[:wrong] = 1 - guessed[:wrong]
        values.append(backwards(nearest_mean, guessed))
    assert values[0] == 1.0 and values[-1] == 0.0 and values == sorted(values, reverse=True)


def test_reverse_validation_hands_on_what_the_reverse_direction_may_see():
    calls = []

    def noting(inputs, labels, unlabelled):
        calls.append((inputs, labels, unlabelled))
        return nearest_mean(inputs, labels, unlabelled)

    guessed = LABELS[::-1].copy()
    backwards(noting, guessed)
    [(inputs, labels, unlabelled)] = calls
    # no held-out item, no label of the source
    assert inputs is TARGET and labels is guessed and unlabelled is SOURCE


def test_reverse_validation_of_a_collapsed_forward_run_is_the_share_of_its_class():
    def never(inputs, labels, unlabelled):
        raise AssertionError("one label leaves nothing to learn from")

    assert reverse_validation(never, TARGET, np.full(200, 1), SOURCE, VAL[:50], np.arange(50) % 5) == 0.2


@pytest.mark.parametrize(("guessed", "val"), [(199, 200), (0, 200), (200, 0), (200, 199)])
def test_reverse_validation_needs_one_label_an_item(guessed, val):
    target = TARGET[: min(guessed + 1, 200)] if guessed else TARGET[:0]
    with pytest.raises(RequestError, match="reverse_validation: .* is needed"):
        reverse_validation(
            nearest_mean, target, LABELS[:guessed], SOURCE, VAL if val else VAL[:0], LABELS[:val]
        )
