import shutil
from pathlib import Path

import numpy as np
import pytest

from store_fixture import edit, write_run, write_runs
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence import flips
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.statistics.flips import lost

TWIN = {"consumed": {"twin": True}}
HARM = 60  # items the planted strategy always gets wrong


def plant_harm(store: Path, seeds: int) -> None:
    """A strategy like the baseline, but for items that it answers with the next class in every run."""

    def spoil(members: dict) -> None:
        labels = members["handwritten/test/labels"]
        for name in [name for name in members if name.startswith("handwritten/test/probabilities/")]:
            p = members[name]
            p[:HARM] = 0.01
            p[np.arange(HARM), (labels[:HARM] + 1) % 10] = 0.91

    for job in write_runs(store, "fine_tuning", 2.0, seeds, n=200, initialisation="source"):
        edit(store, job["fingerprint"], spoil)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """scratch and its twin, an equal of scratch, and a strategy that ruins some items."""
    store = tmp_path_factory.mktemp("flips") / "runs"
    write_runs(store, "scratch", 2.0, 10, n=200)
    write_runs(store, "scratch", 2.0, 10, n=200, **TWIN)
    write_runs(store, "linear_probe", 2.0, 10, n=200, initialisation="source")
    plant_harm(store, 10)
    return store


def found(store: Path, strategy: str) -> flips.Flips:
    cell = next(cell for cell in compare(store) if cell.strategy == strategy)
    return flips.count_flips(cell, 0.05, PredictionReader())


def test_an_equal_strategy_is_not_told_to_lose_or_win(store):
    equal = found(store, "linear_probe")
    for one in (equal.lost, equal.won):
        assert one.ci[0] <= 0 <= one.ci[1] and one.delta == pytest.approx(one.value - one.reference)
    assert equal.lost.value > 0 and equal.items_lost == equal.items_won == []


def test_planted_harm_is_in_the_excess_and_its_items_are_listed(store):
    harmed = found(store, "fine_tuning")
    assert harmed.lost.ci[0] > 0.1 and harmed.won.ci[0] < 0 and harmed.hidden > 0.1
    numbers = [int(item.id[-5:]) for item in harmed.items_lost]
    assert len(numbers) > HARM / 2 and max(numbers) < HARM
    item = harmed.items_lost[0]
    assert item.strategy_right == 0 and item.baseline_right == 10 and item.p_adjusted < 0.01
    assert item.answer == f"class{(int(item.label[-1]) + 1) % 10}"


def test_a_twin_is_told_beside_it_where_it_was_run(store, tmp_path):
    assert 0 < found(store, "linear_probe").twin < 0.5
    copy = Path(shutil.copytree(store, tmp_path / "runs"))
    for folder in next(cell for cell in compare(copy) if cell.strategy == "linear_probe").evidence.twin_runs:
        (folder / "evaluations.npz").write_bytes(b"broken")
    assert found(copy, "linear_probe").twin is None


def test_lost_is_the_mean_over_pairs_of_different_seeds():
    rng = np.random.default_rng(0)
    s, b = rng.integers(0, 2, (2, 4, 7)).astype(float)
    groups = np.array([0, 0, 1, 2, 2, 2, 3])

    def by_hand(of, weights):
        pairs = [(k, m) for k in range(4) for m in range(4) if k != m]
        return sum(weights @ of(k, m) for k, m in pairs) / len(pairs)

    for names, weights in (
        (None, np.full(7, 1 / 7)),
        (groups, np.array([1 / 8, 1 / 8, 1 / 4, 1 / 12, 1 / 12, 1 / 12, 1 / 4])),
    ):
        one = lost(s, b, names, 0.05)
        assert one.value == pytest.approx(by_hand(lambda k, m: b[m] * (1 - s[k]), weights))
        assert one.reference == pytest.approx(by_hand(lambda k, m: b[m] * (1 - b[k]), weights))
    assert lost(s[:2], b[:2], None, 0.05).ci is None


def test_what_two_arms_that_are_right_as_often_lose_is_told_as_seldom_as_promised():
    rng, expected = np.random.default_rng(1), np.zeros(2)
    for _ in range(200):
        # a seed's labels are those of both arms
        easy, subset = (rng.normal(1, 1.2, 200), rng.normal(0, 1, (5, 200)))
        s, b = (easy + subset + rng.normal(0, 0.3, (5, 1)) + rng.normal(0, 1, (5, 200)) > 0 for _ in range(2))
        expected += [
            lost(s * 1.0, b * 1.0, None, 0.05).ci[0] > 0,
            lost(1.0 - s, 1.0 - b, None, 0.05).ci[0] > 0,
        ]
    assert max(expected) <= 0.025 * 200 + 3 * (0.025 * 200) ** 0.5


def test_a_strategy_that_is_better_on_every_item_loses_nothing():
    rng = np.random.default_rng(2)
    easy = rng.normal(0, 1.5, 1000)
    s, b = ((easy + gain + rng.normal(0, 1, (10, 1000)) > 0) * 1.0 for gain in (0.7, 0))
    assert lost(s, b, None, 0.05).ci[1] < 0 < lost(1 - s, 1 - b, None, 0.05).ci[0]


def test_one_seed_tells_nothing(tmp_path):
    for strategy in ("scratch", "fine_tuning"):
        write_run(tmp_path, strategy, 0, 1.0, n=60)
    assert found(tmp_path, "fine_tuning") is None


def test_ties_count_half():
    runs = np.array([[1, 1, 0], [1, 0, 0]])
    assert flips.majority(runs).tolist() == [1, 0.5, 0]
    assert flips.hidden(np.zeros((2, 3)), runs).tolist() == [1, 0.5, 0]


def test_p_of_an_item_is_fishers():
    p = flips.fisher(np.array([0, 1, 5, 2]), np.array([5, 4, 5, 2]), 5)
    assert p == pytest.approx([1 / 252, 26 / 252, 1.0, 0.7381], abs=1e-4)
    rng = np.random.default_rng(0)
    counts = rng.binomial(8, 0.6, size=(2, 4000))
    assert (flips.fisher(*counts, 8) <= 0.05).mean() <= 0.05
