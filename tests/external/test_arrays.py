"""`ts.verdict` on arrays."""

import numpy as np
import pytest

import transferscope as ts
from tables_of_results import scores
from transferscope.errors import RequestError

FOUND = scores(seeds=5, items=300, scratch=0.6, fine_tuning=0.75)
A, B = FOUND["fine_tuning"], FOUND["scratch"]


def test_swapped_arms_swap_the_sign():
    one, other = ts.verdict(A, B), ts.verdict(B, A)
    assert (one.verdict, other.verdict) == ("positive", "negative")
    assert one.delta == -other.delta and one.ci == pytest.approx((-other.ci[1], -other.ci[0]))


def test_equal_arms_of_many_items_are_equivalent():
    same = np.ones((5, 2000))
    assert ts.verdict(same, same, margin=0.02).verdict == "equivalent"


def test_scores_in_another_unit_have_the_same_verdict():
    one = ts.verdict(A, B)
    other = ts.verdict(100.0 * A, 100.0 * B, margin=1.0, score_range=(0, 100))
    assert other.verdict == one.verdict and other.delta == pytest.approx(100 * one.delta)
    assert other.ci == pytest.approx([100 * end for end in one.ci])


def test_items_of_one_group_are_one():
    groups = np.repeat(np.arange(30), 10)
    of_groups = [(A - B)[:, groups == g].mean(1) for g in range(30)]
    again = ts.verdict(np.array(of_groups).T, np.zeros((5, 30)), score_range=(-1, 1), margin=0.01)
    assert ts.verdict(A, B, groups=groups).delta == pytest.approx(again.delta)
    uneven = np.where(np.arange(300) < 200, 0, np.arange(300))
    expected = np.mean([(A - B)[:, :200].mean(), *(A - B)[:, 200:].mean(0)])
    assert ts.verdict(A, B, groups=uneven).delta == pytest.approx(expected)
    with pytest.raises(RequestError, match="groups of shape"):
        ts.verdict(A, B, groups=groups[:-1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((A, B[:, :-1]), "two arrays"),
        ((A, np.where(B == 0, np.nan, B)), r"baseline\[0, \d+\] is nan"),
        ((2.0 * A, B), "outside of score_range"),
    ],
)
def test_bad_arrays(arguments, says):
    with pytest.raises(RequestError, match=says):
        ts.verdict(*arguments)


def test_a_range_without_an_end_is_refused():
    with pytest.raises(RequestError, match="two finite numbers"):
        ts.verdict(A, B, score_range=(0, np.inf))


def test_fixed_items_need_seeds():
    with pytest.raises(RequestError, match="items='fixed'"):
        ts.verdict(A[:1], B[:1], items="fixed")
