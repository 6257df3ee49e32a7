"""Sums of rare differences, drawn without the matrices, are those that matrices would give."""

import numpy as np
import pytest

from transferscope.calibration import discordance
from transferscope.calibration.discordance import Errors, Kind, against_one_baseline, draw
from transferscope.calibration.many import Layout, Sums


def assert_alike(found: Sums, expected: Sums) -> None:
    for some, others in zip(
        (found.row[:, 0], found.square, *found.columns),
        (expected.row[:, 0], expected.square, *expected.columns),
        strict=True,
    ):
        assert some.mean() == pytest.approx(others.mean(), abs=5 * others.std() / len(others) ** 0.5)
        assert some.std() == pytest.approx(others.std(), rel=0.1)


def matrix(drawn: discordance.Drawn, b: int) -> np.ndarray:
    """d [K, n] of draw b, item by item."""
    seeds = drawn.single.shape[1]
    items = [
        np.full(seeds, sign)
        for sign, count in zip((1, -1), drawn.lasting[b], strict=True)
        for _ in range(count)
    ]
    items += [
        sign * np.eye(seeds)[s]
        for s in range(seeds)
        for sign, count in zip((1, -1), drawn.single[b, s], strict=True)
        for _ in range(count)
    ]
    items += list(drawn.several[b].T)
    return np.pad(np.array(items).T, ((0, 0), (0, drawn.items)))[:, : drawn.items]


@pytest.mark.parametrize("seeds", [None, 3])
def test_the_sums_are_those_of_the_matrix(seeds):
    drawn = draw(Kind((0.02, 0.01), (0.05, 0.1)), 6, 300, 4, np.random.default_rng(0))
    found = drawn.sums(seeds)
    for b in range(4):
        expected = Layout(matrix(drawn, b)[None, :seeds]).sums
        assert found.row[b] == pytest.approx(expected.row[0])
        assert found.square[b] == expected.square[0]
        assert found.columns[:, b] == pytest.approx(expected.columns[:, 0])


def test_the_sums_have_the_distribution_of_full_matrices():
    """Mean and spread of each sum beside those of matrices drawn place by place."""
    rng, kind, shape = np.random.default_rng(1), Kind((0.02, 0.03), (0.02, 0.05)), (4000, 5, 100)
    lasting = rng.choice([1, -1, 0], p=[0.02, 0.03, 0.95], size=(shape[0], 1, shape[2]))
    noise = rng.choice([1, -1, 0], p=[0.02, 0.05, 0.93], size=shape)
    expected, found = Layout(np.where(lasting, lasting, noise)).sums, draw(kind, 5, 100, 4000, rng).sums()
    assert found.row.mean() / 100 == pytest.approx(kind.truth, abs=0.002)
    assert_alike(found, expected)


def test_cells_against_one_baseline():
    """Alone each is a null with the discordance of two arms' errors; together they share the baseline's."""
    errors, shape = Errors(0.02, 0.05), (4000, 5, 100)
    rng = np.random.default_rng(7)
    first, second = against_one_baseline(errors, 2, 5, 100, 4000, rng)
    wrong = [
        (rng.random((4000, 1, 100)) < errors.lasting) | (rng.random(shape) < errors.noise) for _ in range(3)
    ]
    expected = [Layout(wrong[0].astype(int) - arm).sums for arm in wrong[1:]]
    assert_alike(first, expected[0])
    shared, of_full = (
        np.corrcoef(one.row.sum(axis=1), other.row.sum(axis=1))[0, 1]
        for one, other in ((first, second), expected)
    )
    assert shared == pytest.approx(of_full, abs=0.06) and shared > 0.4
