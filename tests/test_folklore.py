"""experiments/digits_pairs/folklore.py: what is committed is what it makes, and its claims say what they are
called."""

import importlib
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "experiments" / "digits_pairs"
DOMAINS = ["a", "b", "c", "d", "e", "f"]
PAIRS = [(source, target) for source in DOMAINS for target in DOMAINS if source != target]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("folklore")


def test_what_is_committed_is_of_this_script(script: ModuleType, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "results" / "distances.csv", tmp_path)
    assert script.main(["--folder", str(tmp_path)]) == 0
    for name in ("distances.csv", "points.csv", "claims.csv", "orders.csv"):
        assert (tmp_path / name).read_text() == (FOLDER / "results" / name).read_text(), name
    assert (tmp_path / "folklore.svg").stat().st_size and (tmp_path / "folklore.png").stat().st_size


def deltas(of: dict[tuple[str, int], float]) -> dict[tuple[str, int, tuple[str, str]], float]:
    """Of every pair the given Δ, and a little that differs by pair and strategy."""
    draws = np.random.default_rng(0)
    return {(*key, pair): value + draws.normal(0, 0.002) for key, value in of.items() for pair in PAIRS}


@pytest.mark.parametrize(
    ("many", "folklore"),
    [(0.05, ["held", "held", "held", "held"]), (0.3, ["not held", "not held", "held", "held"])],
)
def test_a_gain_that_shrinks_with_labels_is_the_folklore_and_one_that_grows_is_not(
    script: ModuleType, many: float, folklore: list[str]
) -> None:
    probing, tuning = script.STRATEGIES
    given = {(probing, 2): 0.2, (tuning, 2): 0.2, (probing, 20): many - 0.04, (tuning, 20): many}
    found = script.claims(*script.outcomes(deltas(given)))
    assert [line["folklore"] for line in found] == folklore
    assert [line["delta"] for line in found] == pytest.approx([many - 0.24, many - 0.2, 0, -0.04], abs=0.002)


def test_a_pair_further_away_that_gains_less_is_an_order_of_one(script: ModuleType) -> None:
    place = {pair: k for k, pair in enumerate(PAIRS)}
    near = {pair: {"features/mmd": str(k), "inputs/mmd": "7" if k else "8"} for pair, k in place.items()}
    given = {
        (strategy, budget, pair): -k / 100 * (1 if strategy == "feature_extraction" else 2)
        for strategy in script.STRATEGIES
        for budget in (2, 20)
        for pair, k in place.items()
    }
    lines = script.orders(*script.outcomes(given), near)
    tau = {(line["of"], line["label_budget"], line["distance"]): line["tau"] for line in lines}
    assert tau["fine_tuning", 20, "features/mmd"] == 1
    assert tau["feature_extraction less fine_tuning", 2, "features/mmd"] == -1
    assert len(lines) == 12
