"""The expected best of k trials: by hand, by drawing, and for ties."""

import numpy as np
import pytest

from transferscope.statistics.expected_best import best_so_far, expected_best


def test_three_scores_by_hand() -> None:
    # best of 2: the largest of two draws is 0.2 in 1 of 9 pairs, 0.4 in 3, 0.6 in 5; best of 3: in 1, 7, 19 of 27
    by_hand = [0.4, (0.2 + 3 * 0.4 + 5 * 0.6) / 9, (0.2 + 7 * 0.4 + 19 * 0.6) / 27]
    assert expected_best([0.6, 0.2, 0.4]) == pytest.approx(by_hand)
    assert expected_best([0.0, 1.0, 1.0]) == pytest.approx([2 / 3, 8 / 9, 26 / 27])  # equal scores are one value of twice the weight
    assert expected_best([0.7]) == pytest.approx([0.7])


def test_it_is_the_mean_of_the_best_of_draws() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=12)
    drawn = [rng.choice(scores, size=(40_000, k)).max(axis=1).mean() for k in (1, 5, 12)]
    assert expected_best(scores)[[0, 4, 11]] == pytest.approx(drawn, abs=0.02)


def test_the_best_so_far_goes_by_the_order() -> None:
    assert best_so_far([0.3, 0.1, 0.5, 0.4]).tolist() == [0.3, 0.3, 0.5, 0.5]
