"""τ over pairs that share their domains."""

import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau

from transferscope.statistics import relabelling
from transferscope.statistics.relabelling import permutation_tau, relabellings


def square(n: int) -> list[tuple[str, str]]:
    return [(f"d{a}", f"d{b}") for a in range(n) for b in range(n) if a != b]


def bipartite(sources: int, targets: int) -> list[tuple[str, str]]:
    return [(f"s{a}", f"t{b}") for a in range(sources) for b in range(targets)]


def by_domain(pairs: list[tuple[str, str]], draws: np.random.Generator) -> np.ndarray:
    """A value a pair, made of effects of its source and its target, a distance between them, and noise."""
    names = sorted({name for pair in pairs for name in pair})
    effects, places = draws.normal(size=(2, len(names))), draws.normal(size=(len(names), 2))
    ends = [(names.index(source), names.index(target)) for source, target in pairs]
    return np.array(
        [
            effects[0, s] + effects[1, t] + np.linalg.norm(places[s] - places[t]) + 0.3 * draws.normal()
            for s, t in ends
        ]
    )


@pytest.mark.parametrize(
    ("pairs", "ways"),
    [
        (square(4), 24),
        (bipartite(3, 3), 36),
        (bipartite(8, 1), 40_320),
        (square(4)[1:], 2),  # without d0 → d1, only d2 and d3 play the same part
        ([("a", "t"), ("b", "t"), ("c", "t"), ("a+b", "t"), ("a+c", "t"), ("b+c", "t")], 6),
        ([("a", "t"), ("b", "t"), ("c", "t"), ("a+b", "t")], 2),
    ],
    ids=["square", "bipartite", "one target", "a pair is missing", "joined", "one joined"],
)
def test_names_are_exchanged_where_the_pairs_allow_it(pairs, ways):
    orders = relabellings(tuple(pairs))
    assert len(orders) == min(ways, relabelling.MOST) and orders[0].tolist() == list(range(len(pairs)))
    assert all(sorted(row) == list(range(len(pairs))) for row in orders.tolist())


def test_tau_and_p_are_those_of_trying_every_naming():
    draws = np.random.default_rng(0)
    pairs = square(4)
    # with ties
    values, deltas = (draws.integers(0, 5, (3, 12)).astype(float), draws.integers(0, 5, 12).astype(float))
    tau, p, ways = permutation_tau(values, deltas, pairs)
    place = {pair: k for k, pair in enumerate(pairs)}
    for value, found, chance in zip(values, tau, p, strict=True):
        assert found == pytest.approx(kendalltau(value, deltas).statistic)
        by_hand = []
        for names in itertools.permutations(range(4)):
            renamed = [place[f"d{names[int(s[1])]}", f"d{names[int(t[1])]}"] for s, t in pairs]
            by_hand.append(kendalltau(value, deltas[renamed]).statistic >= found - 1e-9)
        assert ways == 24 and chance == pytest.approx(np.mean(by_hand))


def test_tau_of_what_does_not_vary_is_not_a_number():
    tau, _, _ = permutation_tau(np.ones((1, 12)), np.arange(12.0), square(4))
    assert np.isnan(tau[0])


def test_a_score_that_knows_is_found_from_five_domains_on():
    pairs = square(5)
    deltas = by_domain(pairs, np.random.default_rng(3))
    tau, p, _ = permutation_tau(np.stack([deltas, -deltas]), deltas, pairs)
    assert tau == pytest.approx([1, -1]) and p == pytest.approx([1 / 120, 1])


@pytest.mark.parametrize(
    "pairs",
    [square(4), square(5), bipartite(4, 4), square(5)[1:]],
    ids=["four", "five", "bipartite", "a pair is missing"],
)
def test_a_score_that_knows_nothing_is_found_at_most_as_often_as_said(pairs):
    """500 worlds: 5 % of 500 and three standard errors are 39."""
    draws = np.random.default_rng(1)
    found = sum(
        permutation_tau(by_domain(pairs, draws)[None], by_domain(pairs, draws), pairs)[1][0] <= 0.05
        for _ in range(500)
    )
    assert found <= 39


def test_kendalls_own_p_would_not_do():
    """Why names are exchanged: with five domains it rejects twice as often as it says."""
    draws, pairs = np.random.default_rng(1), square(5)
    worlds = [
        kendalltau(by_domain(pairs, draws), by_domain(pairs, draws), alternative="greater").pvalue
        for _ in range(500)
    ]
    assert np.mean(np.array(worlds) <= 0.05) > 0.08
