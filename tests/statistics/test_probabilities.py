"""P(Δ beyond the margin): by other integrations, by symmetry, in any unit, and whether it comes true as often
as it says."""

import numpy as np
import pytest
from scipy import stats

from transferscope.calibration.probabilities import ONE_KIND, POOLED, Forecasts, of_kind
from transferscope.calibration.simulated_families import KINDS
from transferscope.statistics import probabilities as module
from transferscope.statistics.effect import mean_squares
from transferscope.statistics.probabilities import Probabilities, display, mean_covariance, probabilities

K, ITEM_DF = 5, 200.0


def family(delta, a=0.2, c=0.05, seeds=K, margin=1.0, covariance=0.0):
    """[m, 3]"""
    return np.array(
        probabilities(delta, np.broadcast_to(a, len(delta)), c, seeds, ITEM_DF, margin, covariance=covariance)
    )


# --- against another integration ----------------------------------------------------------------------------


def brute_force(delta, variance, df, shared=0.0):
    """[m, 3] of the model as it is written down: 8,000 equal steps of Δ, 41 of the shift, every prior in
    turn. In margins."""
    at = (np.arange(-4_000, 4_000) + 0.5) * 0.02
    side = np.digitize(at, [-1, 1])
    shift = np.linspace(-5, 5, 41) * np.sqrt(shared)
    own = np.sqrt(variance - shared)
    likelihood = stats.t.pdf((delta[:, None] - shift)[..., None], df, loc=at, scale=own)  # [m, 41, 8000]
    null = stats.t.pdf(delta[:, None] - shift, df, scale=own)
    evidence, parts = 0.0, np.zeros((len(delta), 3))
    shapes = [
        (stats.norm, 0, 1 / 4),
        (stats.t(3), 0, 1 / 4),
        *((stats.norm, mean, 1 / 16) for mean in (-8, -4, -2, -1, 1, 2, 4, 8)),
    ]
    for prior, mean, of_shape in shapes:
        for tau, of_spread in zip((0.5, 1, 2, 4, 8, 64), (*[0.19] * 5, 0.05), strict=True):
            of_delta = 0.02 * prior.pdf((at - mean) / tau) / tau
            slab = np.stack(
                [likelihood[..., side == s] @ of_delta[side == s] for s in range(3)], axis=-1
            )  # [m, 41, 3]
            for share, weight in zip((0, 0.5, 0.8, 0.95), (0.4, 0.3, 0.2, 0.1), strict=True):
                mass = (1 - share) * slab + share * null[..., None] * [0, 1, 0]
                of_shift = stats.norm.pdf(np.linspace(-5, 5, 41)) * np.prod(mass.sum(axis=-1), axis=0)
                of_shift *= of_shape * of_spread * weight
                evidence += of_shift.sum()
                parts += np.einsum("s,msp->mp", of_shift, mass / mass.sum(axis=-1, keepdims=True))
    return parts / evidence


@pytest.mark.parametrize("delta", [[0.3, -1.4, 2.5], [0.9, 1.1, 12.0]])
@pytest.mark.parametrize("variance", [0.4, 0.01])
@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_a_family_of_three_by_brute_force(delta, variance, shared):
    """All A are equal, so that the degree of freedom at their mean changes no A, and makes the degrees of
    freedom K."""
    found = family(delta, a=variance, c=0.0, covariance=shared * variance)
    assert found == pytest.approx(brute_force(np.array(delta), variance, K, shared * variance), abs=4e-3)


def test_a_cell_with_its_own_margin_is_that_cell_in_its_unit():
    delta, margin = np.array([0.02, -0.03, 0.01, 0.06]), np.array([0.01, 0.02, 0.01, 0.03])
    found = family(delta, a=0.0, c=1.5 * margin**2, margin=margin)
    assert found == pytest.approx(family(delta / margin, a=0.0, c=1.5), abs=1e-12)
    assert np.abs(family(delta, a=0.0, c=1.5 * margin**2, margin=0.01) - found).max() > 0.05


# --- symmetry, order, units ---------------------------------------------------------------------------------

DELTA = np.array([0.4, -0.8, 1.5, 3.0, -6.0, 0.0, 0.9])
A = np.array([0.2, 0.3, 0.05, 0.8, 0.4, 0.1, 0.2])
C = np.array([0.05, 0.01, 0.2, 0.1, 0.05, 0.0, 0.1])


@pytest.mark.parametrize("covariance", [0.0, 0.1, 0.9])
def test_they_add_up_to_one_and_change_sides_with_the_sign(covariance):
    found = family(DELTA, A, C, covariance=covariance)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(DELTA)), abs=1e-12)
    assert found.min() >= 0
    assert family(-DELTA, A, C, covariance=covariance) == pytest.approx(found[:, ::-1], abs=1e-9)


@pytest.mark.parametrize("unit", [1e-6, 0.01, 3.45, 1e6])
def test_the_unit_of_the_score_does_not_matter(unit):
    found = family(DELTA, A, C, covariance=0.1)
    other = family(unit * DELTA, unit**2 * A, unit**2 * C, margin=unit, covariance=unit**2 * 0.1)
    assert other == pytest.approx(found, abs=1e-9)


def test_they_follow_the_estimate_the_noise_and_the_other_cells():
    gains = [family([x, 0.5, -0.5, 2.0])[0, 2] for x in np.linspace(-4, 6, 21)]
    assert np.all(np.diff(gains) > 0) and gains[0] < 0.001 and gains[-1] > 0.99
    noisy, sharp = (family([1.8, 0.5, -0.5, 2.0], a=a)[0, 2] for a in (2.0, 0.02))
    assert 0.05 < noisy < 0.5 and sharp > 0.99
    among_nulls, among_gains = (
        family([1.8, *others], a=0.4)[0, 2]
        for others in ([0.1, -0.2, 0.0, 0.2, -0.1], [3.0, 2.5, 4.0, -3.0, 5.0])
    )
    assert among_nulls < among_gains - 0.1
    wide, narrow = (family(DELTA, A, C, margin=margin)[:, 1] for margin in (2.0, 0.5))
    assert np.all((wide > narrow) | (wide < 0.02))


def test_an_erratic_arm_does_not_lend_its_spread_to_the_others():
    """As log-likelihoods have it: one arm varies a hundred times as much, and effects are many margins
    large."""
    delta, a = np.array([8.7, 18.0, 4.5, -60.0, -230.0]), np.array([1.0, 4.0, 2.0, 5.0, 4000.0])
    found = family(delta, a, c=0.5, covariance=12.0)
    assert found[0, 2] > 0.97 and found[3, 0] > 0.99 and found[4, 0] > 0.8


def test_what_cells_share_makes_less_sure_and_does_not_swallow_their_gain():
    """Twelve estimates about 3 may owe some of it to the baseline. Were effects centred at 0, they would owe
    it all: P(gain) below 0.2."""
    delta = 3 + 0.8 * np.cos(np.arange(12))
    alone, shared = (family(delta, a=1.0, c=0.0, covariance=covariance)[:, 2] for covariance in (0.0, 0.5))
    assert alone.min() > 0.97
    assert np.all((shared < alone - 0.02) & (shared > 0.85))


def test_a_family_of_nulls():
    rng = np.random.default_rng(0)
    a = 0.5 * rng.chisquare(K - 1, 36) / (K - 1)
    found = family(np.sqrt(0.55) * rng.standard_normal(36), a)
    assert found[:, 1].mean() > 0.9 and found[:, [0, 2]].mean() < 0.05


def test_extremes_stay_finite():
    for delta, a, c in (
        ([0.0, 0.0, 0.0], 0.0, 0.0),
        ([1.0, 1.0, -1.0], 0.0, 0.0),
        ([1e5, -1e5, 0.0], 1e-12, 1e-12),
        ([5.0, 1.0, 0.0], 1e12, 0.0),
    ):
        for covariance in (0.0, 0.5, 1e9):
            found = family(delta, a, c, covariance=covariance)
            assert np.all(np.isfinite(found)) and found.sum(axis=1) == pytest.approx(np.ones(3))
    assert family([1e5, -1e5, 0.0], 1e-12, 1e-12)[[0, 1, 2], [2, 0, 1]] == pytest.approx(np.ones(3), abs=1e-6)


# --- what gets none -----------------------------------------------------------------------------------------


def test_without_a_margin_an_effect_or_a_family_there_are_none():
    assert probabilities([1.0, 2.0], [0.1] * 2, [0.1] * 2, [5] * 2, [50] * 2, 1.0, covariance=0.0) == [
        None,
        None,
    ]
    for margin in (0.0, None):
        assert (
            probabilities([1.0, 2.0, 0.0], [0.1] * 3, [0.1] * 3, [5] * 3, [50] * 3, margin, covariance=0.0)
            == [None] * 3
        )
    assert (
        probabilities([1.0, 2.0, 0.0], [0.1] * 3, [0.1] * 3, [1] * 3, [50] * 3, 1.0, covariance=0.0)
        == [None] * 3
    )
    assert probabilities([], [], [], [], [], 1.0, covariance=0.0) == []


def test_a_cell_without_an_effect_is_left_out_and_changes_nothing():
    whole = probabilities([1.0, 2.0, 0.0], [0.1] * 3, [0.1] * 3, [5] * 3, [50] * 3, 1.0, covariance=0.0)
    with_one_seed = probabilities(
        [1.0, None, 2.0, 0.0], [0.1, None, 0.1, 0.1], [0.1] * 4, [5, 1, 5, 5], [50] * 4, 1.0, covariance=0.0
    )
    assert with_one_seed == [whole[0], None, whole[1], whole[2]]
    one_cell_without_a_margin = probabilities(
        [1.0, 9.0, 2.0, 0.0], [0.1] * 4, [0.1] * 4, [5] * 4, [50] * 4, [1.0, 0.0, 1.0, 1.0], covariance=0.0
    )
    assert one_cell_without_a_margin == with_one_seed
    assert (
        probabilities([1.0, None, 2.0], [0.1] * 3, [0.1] * 3, [5] * 3, [50] * 3, 1.0, covariance=0.0)
        == [None] * 3
    )


# --- the covariance of cells --------------------------------------------------------------------------------


def crossed(rng, m, seeds, items, shared=0.5):
    """d [m, K, n]: seeds with sd 2, items 3, rest 1, a share of each variance common to the cells."""

    def part(*shape):
        return np.sqrt(shared) * rng.normal(size=(1, *shape)) + np.sqrt(1 - shared) * rng.normal(
            size=(m, *shape)
        )

    return 2 * part(seeds, 1) + 3 * part(1, items) + part(seeds, items)


def test_covariance_is_that_of_every_pair_from_its_mean_products():
    d = crossed(np.random.default_rng(1), 4, 5, 30)

    def products(x, y):  # the mean products of two cells, by polarisation of the mean squares of their sum
        seed, item, rest = (np.array(mean_squares(x + y)) - mean_squares(x) - mean_squares(y)) / 2
        return (seed + item - rest) / x.size, seed / x.size

    pairs = np.array([products(d[j], d[k]) for j in range(4) for k in range(4) if j != k])
    names = [range(5)] * 4, [[f"item {i}" for i in range(30)]] * 4
    assert mean_covariance(d, *names) == pytest.approx(pairs[:, 0].mean())
    assert mean_covariance(d, names[0], None) == pytest.approx(pairs[:, 1].mean())
    assert mean_covariance(d[:1], names[0][:1], names[1][:1]) == 0.0


def test_seeds_and_items_are_matched_by_name():
    d = crossed(np.random.default_rng(2), 3, 5, 30)
    seeds, items = [np.arange(5)] * 3, [np.arange(30)] * 3
    order, place = np.array([3, 0, 4, 1, 2]), np.random.default_rng(3).permutation(30)
    mixed = [d[0], d[1][order], d[2][:, place]]
    same = mean_covariance(mixed, [seeds[0], order, seeds[2]], [items[0], items[1], place])
    assert same == pytest.approx(mean_covariance(d, seeds, items))
    strangers = mean_covariance(
        d, [range(5), range(5, 10), range(10, 15)], [range(30), range(30, 60), range(60, 90)]
    )
    assert strangers == pytest.approx(0.0, abs=1e-12)


def test_covariance_is_right_on_the_mean_and_with_seeds_that_only_some_cells_have():
    """Half of 2² / K + 3² / n + 1 / (K n), and where 3 of 5 seeds are common 3/5 of the seeds' part and of
    the rest's."""
    rng, whole, part = np.random.default_rng(4), [], []
    for _ in range(600):
        d = crossed(rng, 3, 7, 40)
        whole.append(mean_covariance(d[:, :5], [range(5)] * 3, [range(40)] * 3))
        part.append(mean_covariance([d[0][:5], d[1][2:]], [range(5), range(2, 7)], [range(40)] * 2))
    assert np.mean(whole) == pytest.approx((4 / 5 + 9 / 40 + 1 / 200) / 2, rel=0.1)
    assert np.mean(part) == pytest.approx((0.6 * 4 / 5 + 9 / 40 + 0.6 / 200) / 2, rel=0.15)


# --- shown, and calibrated ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (Probabilities(0.034, 0.186, 0.78), ("3 %", "about 20 %", "78 %")),
        (Probabilities(0.001, 0.002, 0.997), ("<1 %", "<5 %", ">99 %")),
        (Probabilities(0.02, 0.96, 0.02), ("2 %", ">95 %", "2 %")),
        (Probabilities(0.475, 0.05, 0.475), ("48 %", "about 10 %", "48 %")),
        (Probabilities(0.025, 0.95, 0.025), ("2 %", "about 90 %", "2 %")),
    ],
)
def test_shown(found, shown):
    assert display(found) == shown


def test_slope_is_that_of_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    truth = rng.normal(size=(500, 4))
    p = 1 / (1 + np.exp(-1.7 * truth - rng.normal(size=truth.shape)))
    found = np.stack([1 - p, np.zeros_like(p), p], axis=-1)
    gain = Forecasts.from_draws(2 * truth, found).of_side("gain")
    expected = (
        LogisticRegression(C=np.inf)
        .fit(np.log(p / (1 - p)).reshape(-1, 1), (2 * truth > 1).ravel())
        .coef_[0, 0]
    )
    assert gain.slope()[0] == pytest.approx(expected, rel=1e-3)
    assert gain.brier() == pytest.approx(np.mean((p - (2 * truth > 1)) ** 2) / np.var(2 * truth > 1))


def test_noise_taken_for_a_tenth_is_surer_than_right(monkeypatch):
    """The study can fail."""
    kind = KINDS[0]
    good, error = of_kind(kind, 12, 5, 60, np.random.default_rng(6)).slope()
    assert POOLED[0] - 3 * error < good < POOLED[1] + 3 * error
    real = module._of_family
    monkeypatch.setattr(
        module,
        "_of_family",
        lambda delta, a, c, *rest, **shared: real(delta, a / 10, c / 10, *rest, **shared),
    )
    assert of_kind(kind, 12, 5, 60, np.random.default_rng(6)).slope()[0] < ONE_KIND[0]


@pytest.mark.parametrize("cells", [3, 12])
def test_calibrated_over_kinds_of_family(cells):
    parts = [
        of_kind(kind, cells, 5, 240 // cells, np.random.default_rng([7, cells, n]))
        for n, kind in enumerate(KINDS)
    ]
    for side in ("harm", "gain"):
        slope, error = Forecasts.joined(parts).of_side(side).slope()
        assert POOLED[0] < slope < POOLED[1] and error < 0.07
