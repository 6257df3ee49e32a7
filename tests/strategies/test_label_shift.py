"""Label shift: the shares against a direct search of the likelihood, the re-weighting against Bayes' rule,
and an oracle with the true shares."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from planted import unbalanced
from transferscope.backbones.base import Backbone
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.store.record import read_history
from transferscope.strategies.label_shift import LabelShift, calibrated, estimated_shares
from transferscope.training.request import resolve

TRUE = np.array([0.75, 0.15, 0.10])
EVEN = np.full(3, 1 / 3)
MEANS = np.array([-1.2, 0.0, 1.2])
IDENTITY = (
    "backbone._target_=transferscope.backbones.identity.Identity",
    "~backbone.hidden",
    "~backbone.weights",
)


def posteriors(x: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """p(y|x) [n, 3] of three Gaussians of deviation 1, by Bayes' rule."""
    joint = shares * np.exp(-((x[:, None] - MEANS) ** 2) / 2)
    return joint / joint.sum(1, keepdims=True)


def drawn(size: int, shares: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.choice(3, size=size, p=shares)
    return MEANS[labels] + random.normal(size=size), labels


def test_one_step_by_hand():
    """Two items: (0.8, 0.2) and (0.4, 0.6), trained at (0.5, 0.5): q = (0.6, 0.4), and (1.2, 0.8)-weighted
    (6/7, 1/7), (1/2, 1/2)."""
    p = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
    even = torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert estimated_shares(p, even, 1).tolist() == pytest.approx([0.6, 0.4])
    assert estimated_shares(p, even, 2).tolist() == pytest.approx([(6 / 7 + 1 / 2) / 2, (1 / 7 + 1 / 2) / 2])


@pytest.mark.parametrize("source", [[1 / 3, 1 / 3, 1 / 3], [0.2, 0.5, 0.3]])
def test_the_shares_are_those_of_the_largest_likelihood_and_near_the_true_ones(source):
    source = np.array(source)
    x, labels = drawn(4000, TRUE, seed=0)
    p = posteriors(x, source)
    found = estimated_shares(torch.from_numpy(p), torch.from_numpy(source)).numpy()

    def loss(free: np.ndarray) -> float:
        q = np.exp(np.r_[free, 0]) / np.exp(np.r_[free, 0]).sum()
        return -np.log((p * q / source).sum(1)).mean()

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}).x
    np.testing.assert_allclose(found, np.exp(np.r_[best, 0]) / np.exp(np.r_[best, 0]).sum(), atol=1e-4)
    assert np.abs(found - TRUE).max() < 0.03
    right = [(posteriors(x, shares).argmax(1) == labels).mean() for shares in (source, found, TRUE)]
    assert right[1] > right[0] + 0.05 and abs(right[2] - right[1]) < 0.005  # the oracle's, nearly


class Gaussians(Backbone):
    """The log-densities of the three Gaussians but for a constant, so that a head of 1 and a bias of log
    shares is Bayes' rule."""

    features = 3

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return -((inputs - torch.from_numpy(MEANS).to(inputs)) ** 2) / 2


def fitted(
    source_shares: np.ndarray, target_shares: np.ndarray, sharpness: float = 1.0, calibrate: bool = True
) -> tuple[LabelShift, np.ndarray]:
    """Of a source model that is Bayes' rule but for its sharpness; and some target items."""
    network = Classifier(Gaussians(), classes=3)
    network.head.weight.data = sharpness * torch.eye(3)
    network.head.bias.data = sharpness * torch.from_numpy(source_shares).log().float()
    strategy = LabelShift(network, calibrate)
    (source, labels), (target, _) = (
        drawn(4000, shares, seed) for seed, shares in enumerate((source_shares, target_shares))
    )
    inputs = [torch.from_numpy(x)[:, None].float() for x in (source, target)]
    strategy.fit_features(
        Pools(
            source=LabelledData(inputs[0], torch.from_numpy(labels), torch.zeros(4000)), unlabelled=inputs[1]
        )
    )
    return strategy, target[:50]


def predicted(strategy: LabelShift, x: np.ndarray) -> np.ndarray:
    return strategy.predictions(torch.from_numpy(x)[:, None].float()).detach().numpy()


@pytest.mark.parametrize("calibrate", [False, True])
def test_a_source_model_that_is_bayes_rule_becomes_that_of_the_target(calibrate):
    strategy, x = fitted(EVEN, TRUE, calibrate=calibrate)
    assert np.abs(strategy.target_shares.numpy() - TRUE).max() < 0.05
    np.testing.assert_allclose(predicted(strategy, x), posteriors(x, TRUE), atol=0.1)
    if not calibrate:  # then it is Bayes' rule with the estimate to the last digit
        np.testing.assert_allclose(
            predicted(strategy, x),
            posteriors(x, (strategy.target_shares / strategy.source_shares).numpy()),
            atol=1e-5,
        )


@pytest.mark.parametrize("sharpness", [0.3, 3.0])
def test_calibration_is_what_makes_the_shares_right_where_the_source_model_is_too_sure_or_not_sure_enough(
    sharpness,
):
    (with_it, x), (without, _) = (fitted(EVEN, TRUE, sharpness, calibrate) for calibrate in (True, False))
    assert float(with_it.sharpness) == pytest.approx(1 / sharpness, rel=0.1)
    error, worse = (np.abs(strategy.target_shares.numpy() - TRUE).max() for strategy in (with_it, without))
    assert error < 0.05 < 0.08 < worse
    np.testing.assert_allclose(predicted(with_it, x), posteriors(x, TRUE), atol=0.1)


def test_a_model_that_knows_its_items_by_heart_still_orders_those_of_the_target():
    labels = torch.tensor([0, 1] * 50)
    logits = 20.0 * torch.nn.functional.one_hot(labels, 2).double() + torch.linspace(0, 1, 100)[:, None]
    sharpness, bias = calibrated(logits, labels)
    p = torch.softmax(sharpness * logits + bias, 1)
    # Platt's (n + 1) / (n + 2) of 50 items a class, and no more
    torch.testing.assert_close(p.gather(1, labels[:, None])[:, 0].mean().item(), 51 / 52, rtol=1e-4, atol=0)
    target = torch.linspace(-40, 40, 200, dtype=torch.float64)[:, None] * torch.tensor([-1.0, 1.0])
    of_one = torch.softmax((sharpness * target + bias).float(), 1)[:, 1]
    assert of_one.unique().numel() > 150


def test_sharpness_and_bias_are_those_of_the_least_cross_entropy():
    x, labels = drawn(500, TRUE, seed=3)
    logits = 0.4 * np.log(posteriors(x, EVEN)) + np.array([0.5, 0.0, -1.0])

    def loss(free: np.ndarray) -> float:
        scores = free[0] * logits + np.r_[free[1:], -free[1:].sum()]
        counts = np.bincount(labels)[labels]
        soft = (np.eye(3)[labels] * counts[:, None] + 1) / (counts[:, None] + 3)
        return (np.log(np.exp(scores).sum(1)) - (soft * scores).sum(1)).mean()

    best = minimize(
        loss,
        np.array([1.0, 0.0, 0.0]),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-14, "maxiter": 5000},
    ).x
    sharpness, bias = calibrated(torch.from_numpy(logits), torch.from_numpy(labels))
    np.testing.assert_allclose(np.r_[float(sharpness), bias[:2].numpy()], best, atol=1e-4)


def test_a_target_like_the_source_is_left_alone():
    strategy, x = fitted(TRUE, TRUE)
    assert strategy.begin_evaluation(Pools())["shares/moved"] < 0.05
    np.testing.assert_allclose(predicted(strategy, x), posteriors(x, TRUE), atol=0.1)


def test_what_is_planted_are_the_shares_that_are_said():
    assert [np.bincount(unbalanced(300, 0, is_target).labels).tolist() for is_target in (False, True)] == [
        [100] * 3,
        [270, 15, 15],
    ]


def test_it_is_the_source_model_until_it_is_fitted_and_says_how_far_the_shares_moved(finished):
    run = finished("strategy=label_shift")
    assert (
        run.on_test(0).tobytes()
        == finished("strategy=fine_tuning").on_test(0).tobytes()
        != run.on_test(4).tobytes()
    )
    assert run.on_test(4).tobytes() == run.on_test(12).tobytes()
    first, *rest = (row["shares/moved"] for row in read_history(run.folder))
    assert first == 0 and len(set(rest)) == 1 and 0 < rest[0] < 1


def test_features_without_weights_have_a_source_model_all_the_same(config):
    request = resolve(config("strategy=label_shift", *IDENTITY))
    assert request.initialisation == "source" and not request.deterministic
