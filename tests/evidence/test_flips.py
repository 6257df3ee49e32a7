import shutil
from pathlib import Path

import numpy as np
import pytest

from store_fixture import edit, write_run, write_runs
from transferscope.compare import compare
from transferscope.evidence import flips
from transferscope.evidence.predictions import Reader

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
    return flips.of(cell, 0.05, Reader())


def test_an_equal_strategy_flips_no_more_than_the_twin(store):
    equal = found(store, "linear_probe")
    assert equal.reference == "twin" and equal.seeds == 10
    for rate in (equal.negative, equal.positive, equal.hidden):
        assert rate.ci[0] <= 0 <= rate.ci[1] and rate.excess == pytest.approx(rate.value - rate.reference)
    assert equal.negative.value > 0 and equal.lost == equal.won == []


def test_planted_harm_is_in_the_excess_and_its_items_are_listed(store):
    harmed = found(store, "fine_tuning")
    assert harmed.negative.ci[0] > 0.1 and harmed.hidden.ci[0] > 0.1
    numbers = [int(item.id[-5:]) for item in harmed.lost]
    assert len(numbers) > HARM / 2 and max(numbers) < HARM
    item = harmed.lost[0]
    assert item.strategy_right == 0 and item.baseline_right == 10 and item.p_adjusted < 0.01
    assert item.answer == f"class{(int(item.label[-1]) + 1) % 10}"


def test_without_a_twin_other_seeds_bound_what_chance_gives(tmp_path):
    write_runs(tmp_path, "scratch", 1.0, 4, n=200)
    write_runs(tmp_path, "linear_probe", 1.0, 4, n=200, initialisation="source")
    bounded = found(tmp_path, "linear_probe")
    assert bounded.reference == "bound" and bounded.negative.ci is None
    assert bounded.negative.reference > bounded.negative.value  # other subsets flip more than other initialisations


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


def test_a_twin_that_cannot_be_read_is_no_twin(store, tmp_path):
    copy = Path(shutil.copytree(store, tmp_path / "runs"))
    for folder in next(cell for cell in compare(copy) if cell.strategy == "linear_probe").evidence.twin_runs[:9]:
        (folder / "evaluations.npz").write_bytes(b"broken")
    assert found(copy, "linear_probe").reference == "bound"
