"""Each distance against an independent route, and all of them against the contract of the shelf."""

import doctest
import importlib
import inspect
import math

import numpy as np
import ot
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from transferscope.distances import available
from transferscope.distances.coral import coral
from transferscope.distances.frechet import frechet
from transferscope.distances.label_shift import label_kl, label_total_variation
from transferscope.distances.mmd import FACTORS, mmd
from transferscope.distances.proxy_a_distance import proxy_a_distance
from transferscope.distances.sliced_wasserstein import sliced_wasserstein
from transferscope.distances.value_shift import value_shift
from transferscope.errors import RequestError

OF_FEATURES = {name: f for name, f in available().items() if "source" in inspect.signature(f).parameters}
OF_LABELS = {name: f for name, f in available().items() if "source_labels" in inspect.signature(f).parameters}
LOSSES = sorted(OF_FEATURES.keys() - {"proxy_a_distance"})


def call(name: str, source: Tensor, target: Tensor) -> Tensor | float:
    """The value alone, with every random draw fixed."""
    function = OF_FEATURES[name]
    draws = (
        {"generator": torch.Generator().manual_seed(0)}
        if "generator" in inspect.signature(function).parameters
        else {}
    )
    value = function(source, target, **draws)
    return value[0] if isinstance(value, tuple) else value


def sample(n: int, d: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=draws, dtype=torch.float64) + shift


# --- all distances


def test_the_public_functions_of_the_folder_are_what_is_available() -> None:
    assert {"mmd", "coral", "frechet", "sliced_wasserstein", "proxy_a_distance"} <= OF_FEATURES.keys()
    assert OF_LABELS.keys() == {"label_kl", "label_total_variation"}
    assert "value_shift" in available()
    assert all(f.__doc__ and not name.startswith("_") for name, f in available().items())


@pytest.mark.parametrize("module", sorted({f.__module__ for f in available().values()}))
def test_the_examples_in_the_docstrings_hold(module: str) -> None:
    outcome = doctest.testmod(importlib.import_module(module))
    assert outcome.attempted > 0 and outcome.failed == 0


@pytest.mark.parametrize("name", OF_FEATURES)
def test_predict_can_call_it_with_what_it_has(name: str) -> None:
    needed = [
        p.name for p in inspect.signature(OF_FEATURES[name]).parameters.values() if p.default is p.empty
    ]
    assert needed[:2] == ["source", "target"] and set(needed[2:]) <= {"generator"}


@pytest.mark.parametrize("name", OF_FEATURES)
def test_equal_samples_are_not_apart_and_a_growing_difference_is(name: str) -> None:
    source = sample(120, 4)
    assert float(call(name, source, source.clone())) <= 1e-6
    values = [
        float(call(name, source, sample(120, 4, seed=1, scale=1 + shift, shift=shift)))
        for shift in (0.0, 0.5, 1.5)
    ]
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shapes", [(40, 30, 5), (6, 9, 20)], ids=["more items than features", "fewer"])
def test_it_is_symmetric_and_blind_to_the_order_of_items(name: str, shapes: tuple[int, int, int]) -> None:
    n, m, d = shapes
    source, target = sample(n, d), sample(m, d, seed=1, scale=2.0, shift=0.3)
    value = call(name, source, target)
    torch.testing.assert_close(call(name, target, source), value)
    torch.testing.assert_close(call(name, source.flip(0), target.roll(3, 0)), value)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shapes", [(12, 7, 3), (4, 3, 6)], ids=["more items than features", "fewer"])
def test_its_gradient_is_that_of_finite_differences(name: str, shapes: tuple[int, int, int]) -> None:
    n, m, d = shapes
    source, target = sample(n, d), sample(m, d, seed=1, scale=1.5, shift=0.5)
    if name == "mmd":  # the bandwidth is a constant to the gradient: the linear kernel has none
        function = lambda s, t: mmd(s, t, kernel="linear")  # noqa: E731
    else:
        function = lambda s, t: call(name, s, t)  # noqa: E731
    assert torch.autograd.gradcheck(function, (source.requires_grad_(), target.requires_grad_()))


@pytest.mark.parametrize("name", LOSSES)
def test_descending_it_brings_the_samples_together(name: str) -> None:
    source, target = sample(60, 4, scale=3.0, shift=2.0).requires_grad_(), sample(60, 4, seed=1)
    before = float(call(name, source, target).detach())
    optimiser = torch.optim.Adam([source], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        call(name, source, target).backward()
        optimiser.step()
    assert source.isfinite().all()
    assert float(call(name, source, target).detach()) < 0.5 * before


@pytest.mark.parametrize("name", LOSSES)
def test_a_value_that_is_not_finite_comes_out_as_such(name: str) -> None:
    source = sample(10, 3)
    source[2, 1] = math.nan
    assert not call(name, source, sample(10, 3, seed=1)).isfinite()


@pytest.mark.parametrize("name", OF_FEATURES)
def test_constant_features_are_no_distance(name: str) -> None:
    constant = torch.full((8, 3), 2.0, dtype=torch.float64)
    other = torch.full((5, 3), 2.0, dtype=torch.float64)
    assert float(call(name, constant, other)) == pytest.approx(0, abs=1e-12)
    if name in LOSSES:
        call(name, constant.requires_grad_(), other).backward()
        assert constant.grad.isfinite().all()


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize(
    "target",
    [torch.zeros(4, 3), torch.zeros(4), torch.zeros(0, 2)],
    ids=["other width", "no matrix", "empty"],
)
def test_what_cannot_be_compared_is_refused_with_the_shapes(name: str, target: Tensor) -> None:
    with pytest.raises(RequestError, match=r"target \[") as refusal:
        call(name, torch.zeros(4, 2), target)
    assert "\n" not in str(refusal.value)


# --- each against another route


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_mmd_is_the_double_loop(kernel: str, unbiased: bool) -> None:
    s, t = sample(7, 3).numpy(), sample(5, 3, seed=1, shift=0.7).numpy()
    pooled = np.concatenate([s, t])
    squared = sorted(((a - b) ** 2).sum() for i, a in enumerate(pooled) for b in pooled[:i])
    median = squared[(len(squared) - 1) // 2]

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (
            a @ b
            if kernel == "linear"
            else np.mean([math.exp(-((a - b) ** 2).sum() / (f * median)) for f in FACTORS])
        )

    def within(x: np.ndarray) -> float:
        pairs = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j or not unbiased]
        return sum(pairs) / len(pairs)

    expected = within(s) + within(t) - 2 * np.mean([k(a, b) for a in s for b in t])
    assert float(mmd(torch.tensor(s), torch.tensor(t), kernel=kernel, unbiased=unbiased)) == pytest.approx(
        expected, abs=1e-12
    )


def test_unbiased_mmd_averages_to_zero_for_equal_domains_and_biased_does_not() -> None:
    pairs = [(sample(10, 2, seed=2 * i), sample(10, 2, seed=2 * i + 1)) for i in range(200)]
    unbiased = torch.stack([mmd(s, t, unbiased=True) for s, t in pairs])
    assert abs(unbiased.mean()) < 3 * unbiased.std() / 200**0.5
    assert torch.stack([mmd(s, t) for s, t in pairs]).mean() > 10 * unbiased.std() / 200**0.5
    with pytest.raises(RequestError, match="at least 2 items"):
        mmd(sample(1, 2), sample(5, 2), unbiased=True)


def test_mmd_far_from_the_origin_keeps_its_digits() -> None:
    source, target = sample(30, 4).float(), sample(30, 4, seed=1, shift=0.5).float()
    torch.testing.assert_close(mmd(source + 1000, target + 1000), mmd(source, target), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("d", [1, 4, 25])
def test_coral_is_the_distance_of_numpys_covariances(d: int) -> None:
    source, target = sample(12, d), sample(9, d, seed=1, scale=2.0, shift=5.0)
    difference = np.atleast_2d(np.cov(source.numpy().T) - np.cov(target.numpy().T))
    assert float(coral(source, target)) == pytest.approx((difference**2).sum() / (4 * d**2))


@pytest.mark.parametrize("d", [1, 4, 25])
def test_frechet_is_the_formula_with_scipys_matrix_root(d: int) -> None:
    source = sample(60, d)
    target = sample(50, d, seed=1, scale=2.0, shift=1.0) @ (torch.eye(d).double() + 0.3)
    a, b = (np.atleast_2d(np.cov(x.numpy().T)) for x in (source, target))
    expected = ((source.mean(0) - target.mean(0)) ** 2).sum() + np.trace(
        a + b - 2 * scipy.linalg.sqrtm(a @ b).real
    )
    assert float(frechet(source, target)) == pytest.approx(float(expected))


def test_frechet_has_a_value_where_covariances_are_singular() -> None:
    source, target = sample(4, 30), sample(5, 30, seed=1, shift=1.0)
    roots = [scipy.linalg.sqrtm(np.cov(x.numpy().T) + 1e-12 * np.eye(30)).real for x in (source, target)]
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    expected = (
        ((source.mean(0) - target.mean(0)) ** 2).sum() + source.var(0).sum() + target.var(0).sum() - 2 * cross
    )
    assert float(frechet(source, target)) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("m", [8, 20, 13])
def test_sliced_wasserstein_on_a_line_is_the_transport_of_a_linear_programme(m: int) -> None:
    source, target = sample(8, 1), sample(m, 1, seed=1, shift=1.0)
    costs = ((source - target.T) ** 2).numpy()
    sums = np.vstack([np.kron(np.eye(8), np.ones(m)), np.kron(np.ones(8), np.eye(m))])
    shares = np.r_[np.full(8, 1 / 8), np.full(m, 1 / m)]
    expected = scipy.optimize.linprog(costs.ravel(), A_eq=sums, b_eq=shares).fun
    assert float(sliced_wasserstein(source, target, torch.Generator())) == pytest.approx(expected)


@pytest.mark.parametrize("m", [30, 17])
def test_sliced_wasserstein_is_pots_along_the_same_directions(m: int) -> None:
    source, target = sample(30, 4), sample(m, 4, seed=1, shift=0.5)
    directions = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    directions = (directions / directions.norm(dim=0)).double().numpy()
    theirs = ot.sliced_wasserstein_distance(source.numpy(), target.numpy(), projections=directions, p=2)
    assert float(sliced_wasserstein(source, target, torch.Generator().manual_seed(2), 16)) == pytest.approx(
        theirs**2, rel=1e-6
    )


def test_sliced_wasserstein_of_a_shift_is_its_mean_square_over_directions() -> None:
    source, shift = sample(50, 3), torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    value = sliced_wasserstein(source, source + shift, torch.Generator().manual_seed(1), projections=4000)
    assert float(value) == pytest.approx(4 / 3, rel=0.05)  # E (θ · shift)² = |shift|² / d
    draws = [
        float(sliced_wasserstein(source, source + shift, torch.Generator().manual_seed(s))) for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_proxy_a_distance_tells_what_can_be_told() -> None:
    draws = torch.Generator().manual_seed(0)
    estimate, (low, high) = proxy_a_distance(sample(400, 1), sample(400, 1, seed=1, shift=1.0), draws)
    best = 2 * (1 - 2 * scipy.stats.norm.cdf(-0.5))  # the Bayes error of two unit Gaussians one apart
    assert low < estimate < high and low < best < high and high - low < 0.3
    small, (low_small, high_small) = proxy_a_distance(sample(20, 1), sample(20, 1, seed=1, shift=1.0), draws)
    assert high_small - low_small > high - low


def test_proxy_a_distance_counts_neither_size_nor_a_certain_error_as_more_than_it_is() -> None:
    same = [
        proxy_a_distance(sample(600, 2, 2 * i), sample(30, 2, 2 * i + 1), torch.Generator().manual_seed(i))[0]
        for i in range(20)
    ]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20**0.5  # one domain 20 times the other is not a distance
    apart, (low, high) = proxy_a_distance(
        sample(30, 2), sample(30, 2, shift=50.0), torch.Generator().manual_seed(0)
    )
    assert apart == 2 and high == pytest.approx(2) and 1.5 < low < 1.9  # 60 of 60 right is not certainty
    with pytest.raises(RequestError, match="not finite"):
        proxy_a_distance(torch.full((5, 2), math.nan), sample(5, 2), torch.Generator())


def test_label_shift_against_shares_by_hand() -> None:
    source, target = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1])
    assert float(label_total_variation(source, target)) == 0.5
    assert float(label_kl(source, target)) == pytest.approx(0.25 * math.log(1 / 3) + 0.75 * math.log(3))
    assert float(label_kl(source, source)) == 0
    assert float(label_total_variation(torch.tensor([0, 1]), torch.tensor([2, 3]))) == 1
    assert float(label_kl(torch.tensor([0, 1]), torch.tensor([1, 2]))) == math.inf
    # a class the target lacks is no obstacle
    assert math.isfinite(label_kl(torch.tensor([0, 1, 2]), torch.tensor([1])))
    with pytest.raises(RequestError, match="target_labels"):
        label_kl(source, torch.tensor([-1, 0]))


def test_a_shift_of_values_is_the_wasserstein_distance_in_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 3, (700, 2)), rng.normal([1, 0], 3, (900, 2))
    spread = np.concatenate([source, target]).std(0)
    by_hand = np.mean([wasserstein_distance(source[:, k], target[:, k]) / spread[k] for k in range(2)])
    found = float(value_shift(torch.from_numpy(source), torch.from_numpy(target)))
    assert found == pytest.approx(by_hand, abs=0.01)
    assert float(value_shift(torch.from_numpy(source), torch.from_numpy(source))) == 0
    with pytest.raises(RequestError, match="all items have one value"):
        value_shift(torch.ones(3, 1), torch.ones(2, 1))
