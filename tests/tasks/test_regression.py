"""Regression by hand: losses, scales, heads, what counts as collapsed, and errors as they are judged."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from transferscope.store.record import CHANCE_LEVEL, CONSTANT
from transferscope.tasks.classification import Classification
from transferscope.tasks.metrics import METRICS, Errors, judged_metrics
from transferscope.tasks.regression import Regression

ONE = Regression(("price",), "$", center=(10.0,), scale=(2.0,))
TARGETS = torch.tensor([[10.0], [12.0], [16.0]])  # standardised 0, 1, 3


@pytest.mark.parametrize(
    "error, by_hand", [("mse", [0.25, 0.25, 9.0]), ("mae", [0.5, 0.5, 3.0]), ("huber", [0.125, 0.125, 2.5])]
)
def test_losses_are_of_standardised_values(error, by_hand):
    task, outputs = ONE.minimising(error), torch.tensor([[0.5], [1.5], [0.0]])
    assert task.loss(outputs, TARGETS, "none").tolist() == pytest.approx(by_hand)
    assert float(task.loss(outputs, TARGETS)) == pytest.approx(np.mean(by_hand))
    matrix = task.loss_matrix(outputs, TARGETS)  # [targets, outputs]
    assert matrix.shape == (3, 3) and matrix.diagonal().tolist() == pytest.approx(by_hand)


def test_several_quantities_weigh_alike_in_a_loss():
    task = Regression(("a", "b"), center=(0.0, 0.0), scale=(1.0, 1000.0))
    wrong = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2000.0]])
    losses = [float(task.loss(torch.zeros(1, 2), targets)) for targets in wrong]
    assert losses == pytest.approx([2.0, 2.0])


def test_center_and_scale_count_either_domain_once():
    source, target = torch.tensor([[0.0], [2.0]] * 500), torch.tensor([[10.0], [12.0]])
    task = ONE.fitted([source, target])
    assert task.center == pytest.approx((6.0,))  # the mean of 1 and 11
    assert task.scale == pytest.approx((26**0.5,))  # 1 within, 25 between
    alone = ONE.fitted([torch.full((3, 1), 7.0)])
    assert (alone.center, alone.scale) == ((7.0,), (1.0,))  # one number: nothing to divide by
    assert ONE.fitted([]).predict(torch.ones(1, 1)).tolist() == [[1.0]]  # no label at all


def test_an_adopted_head_predicts_the_same_at_another_scale():
    source, target = (
        ONE.fitted([torch.tensor([[1.0], [5.0]])]),
        ONE.fitted([torch.tensor([[100.0], [160.0]])]),
    )
    head = torch.nn.Linear(3, 1)
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    weight, bias = target.adopted(head.weight.detach(), head.bias.detach(), source)
    torch.testing.assert_close(
        target.predict(features @ weight.T + bias),
        source.predict(head(features).detach()),
        rtol=1e-4,
        atol=1e-4,
    )


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, p = rng.normal(50, 9, (40, 1)), rng.normal(50, 9, (40, 1))
    found = ONE.scores(torch.from_numpy(p).float(), torch.from_numpy(y).float())
    assert found == pytest.approx(
        {"mae": mean_absolute_error(y, p), "rmse": root_mean_squared_error(y, p), "r2": r2_score(y, p),
         "median_absolute_error": median_absolute_error(y, p)}, rel=1e-2,
    )  # fmt: skip


def test_collapsed_is_one_number_or_no_skill():
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.normal(0, 1, (200, 1)))
    noise = torch.from_numpy(rng.normal(0, 1, (200, 1)))
    assert ONE.degenerate(torch.full((200, 1), 0.3), y).startswith(CONSTANT)
    assert ONE.degenerate(noise, y).startswith(CHANCE_LEVEL)
    assert ONE.degenerate(0.5 * y + noise, y) == ""
    assert ONE.degenerate(100 + 0.5 * y, y) == ""  # far off, and it follows the targets
    assert ONE.degenerate(-y, y) == ""  # what it learnt holds the other way round: harm


def test_what_two_tasks_have_in_common():
    assert ONE.has_outputs_of(Regression(("price",), "EUR"))
    assert Regression(("rent",)).difference(ONE) == "rent in the source, price in the target"
    assert Classification(("a", "b")).difference(ONE) == "classification against regression"


def test_strata_are_quartiles_and_items_without_a_number_are_of_none():
    strata = ONE.strata(np.array([[0.0], [1.0], [2.0], [3.0], [np.nan], [4.0], [5.0], [6.0], [7.0]]))
    assert strata.of.tolist() == [0, 0, 1, 1, -1, 2, 2, 3, 3]
    assert set(ONE.strata(np.array([[5.0], [5.0], [5.0], [6.0]])).of.tolist()) == {0, 2}


def errors_of(rng: np.random.Generator, n: int = 400) -> tuple[Errors, np.ndarray]:
    numbers = rng.lognormal(0, 1, (n, 1))
    return Errors.of(["price"], "$", numbers), numbers


def test_the_cap_is_what_the_naive_error_exceeds_on_a_hundredth_of_the_training_items():
    errors, numbers = errors_of(np.random.default_rng(0))
    naive = np.abs(numbers - np.median(numbers))
    assert np.mean(naive > errors.cap) == pytest.approx(0.01, abs=0.0026)
    metric = METRICS["mae"].within(errors)
    assert (metric.unit, metric.span, metric.cap, metric.display) == (
        errors.cap / 2,
        errors.cap,
        errors.cap,
        "$",
    )
    scores = metric.per_item(numbers + 1000, numbers, None)
    assert scores.tolist() == [-errors.cap] * len(numbers) and metric.clipped(scores) == 1.0


def test_errors_of_several_quantities_without_a_unit_are_told_in_deviations():
    numbers = np.random.default_rng(0).normal(0, [1.0, 1000.0], (500, 2))
    errors = Errors.of(["a", "b"], "", numbers)
    assert errors.spread == pytest.approx(numbers.std(0)) and errors.display == "SD"
    off = numbers + numbers.std(0)
    assert errors.absolute(off, numbers) == pytest.approx(1.0)
    assert Errors.of(["x", "y"], "px", numbers).spread.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("has_groups", [False, True])
def test_rmse_is_judged_by_the_pseudo_values_of_the_jackknife(has_groups):
    rng = np.random.default_rng(1)
    errors, numbers = errors_of(rng, 30)
    predicted = numbers + rng.normal(0, 0.3, numbers.shape)
    groups = np.repeat(np.arange(10), 3) if has_groups else np.arange(30)
    units = [groups == g for g in np.unique(groups)]
    squared = np.array([errors.squared(predicted[u], numbers[u]).mean() for u in units])
    n, whole = len(units), np.sqrt(squared.mean())
    by_hand = [n * whole - (n - 1) * np.sqrt(np.delete(squared, i).mean()) for i in range(n)]
    found = METRICS["rmse"].within(errors).per_item(predicted, numbers, groups if has_groups else None)
    assert [-found[u][0] for u in units] == pytest.approx(by_hand)
    assert -np.mean(by_hand) == pytest.approx(-whole, rel=0.05)


def test_members_of_a_file_come_back_and_others_are_refused():
    errors, _ = errors_of(np.random.default_rng(0))
    again = Errors.from_members(errors.members())
    assert again.quantities == errors.quantities and again.cap == errors.cap and again.unit == "$"
    for key, value in (("cap", -1.0), ("spread", [0.0]), ("mean", [1.0, 2.0]), ("median", [np.nan])):
        with pytest.raises(ValueError):
            Errors.from_members(errors.members() | {key: np.asarray(value)})


def test_only_errors_that_have_a_mean_are_judged():
    assert judged_metrics("regression") == ("mae", "rmse")
