import json
from pathlib import Path

import numpy as np
import pytest

from store_fixture import write_run
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence import learning

STEPS = (0, 100, 200, 300)


def curve(
    store: Path,
    strategy: str,
    seed: int,
    scores: list[float],
    source: tuple[int, float] = (0, 0.0),
    model: str = "",
) -> None:
    """A run whose history and source training (steps, seconds) are given."""
    fingerprint = write_run(
        store, strategy, seed, 1.0, n=60, initialisation="source" if source[0] else "random"
    )["fingerprint"]
    rows = [f"{step},{step / 100},{score}" for step, score in zip(STEPS, scores, strict=True)]
    (store / fingerprint / "history.csv").write_text(
        "\n".join(["step,seconds,handwritten/test/accuracy", *rows])
    )
    path = store / fingerprint / "record.json"
    record = json.loads(path.read_text())
    record["result"]["steps"]["source"], record["timings"]["source_seconds"] = source
    record |= {"source_model": {"key": model, "made": source[1] > 0}} if model else {}
    path.write_text(json.dumps(record))


def found(store: Path) -> learning.Learning:
    (cell,) = compare(store)
    return learning.compare_curves(cell, 0.05)


def test_measures_by_hand(tmp_path):
    for seed in range(3):
        curve(tmp_path, "scratch", seed, [0.1, 0.3, 0.5, 0.6])
        curve(tmp_path, "fine_tuning", seed, [0.4, 0.6, 0.7, 0.7 + 0.01 * seed], (300, 5.0))
    measured = found(tmp_path)
    assert measured.jumpstart.delta == pytest.approx(0.3) and measured.early.delta == pytest.approx(0.3)
    assert measured.asymptote.delta == pytest.approx(0.11) and measured.first == 100 and measured.last == 300
    assert measured.area.delta == pytest.approx((0.3 + 0.25 + 0.155) / 3)
    # t(2) 4.303 × 0.01 / √3
    assert measured.asymptote.ci == pytest.approx((0.11 - 0.02484, 0.11 + 0.02484), abs=1e-4)
    # 100 and 300 of the source
    assert (measured.steps.strategy, measured.steps.baseline, measured.steps.saved.delta) == (400, 300, -100)
    assert measured.seconds.strategy == 6.0


def test_source_seconds_of_another_run_are_charged_and_untimed_ones_not_told(tmp_path):
    for seed, seconds in enumerate((5.0, 0.0)):
        curve(tmp_path, "scratch", seed, [0.1, 0.3, 0.5, 0.6])
        curve(tmp_path, "fine_tuning", seed, [0.4, 0.6, 0.7, 0.7], (300, seconds), model="ab12")
    (cell,) = compare(tmp_path)
    assert learning.compare_curves(cell, 0.05).seconds is None
    costs = learning.source_costs(cell.evidence.records.values())
    assert costs == {"ab12": 5.0}
    assert learning.compare_curves(cell, 0.05, costs).seconds.strategy == 6.0


def test_the_run_that_is_the_source_model_tells_its_cost():
    model = {"key": "one", "made": True}
    itself = {
        "source_model": model,
        "timings": {"fit_seconds": 7.0},
        "result": {"steps": {"target": 0, "source": 300}},
    }
    user = {
        "source_model": model | {"made": False},
        "timings": {"fit_seconds": 9.0},
        "result": {"steps": {"target": 300, "source": 300}},
    }
    assert learning.source_costs([user, itself, {}]) == {"one": 7.0}


def test_a_threshold_that_is_not_reached_counts_the_end_and_one_evaluation_more(tmp_path):
    for seed, last in enumerate((0.7, 0.5)):
        curve(tmp_path, "scratch", seed, [0.1, 0.3, 0.5, 0.6])
        curve(tmp_path, "joint", seed, [0.1, 0.2, 0.3, last])
    time = found(tmp_path).steps
    assert (time.reached, time.baseline_reached, time.strategy, time.baseline) == (1, 2, 350, 300)
    half = 12.706 * ((50**2 * 2 + 100**2 / 12) / 2) ** 0.5  # t(1); evaluations are 100 steps apart
    assert time.saved.delta == -50 and time.saved.ci == pytest.approx((-50 - half, -50 + half), abs=0.1)


def test_the_baseline_saves_itself_nothing():
    rng, expected, steps = np.random.default_rng(0), 0, np.arange(0, 301, 30)

    def run() -> learning.Run:
        ends, rate = rng.normal(0.8, 0.02), 3 * np.exp(rng.normal(0, 0.25))
        return learning.Run(
            steps,
            steps / 10,
            rng.binomial(200, 0.1 + (ends - 0.1) * (1 - np.exp(-rate * steps / 300))) / 200,
            0,
            0.0,
        )

    for _ in range(200):
        low, high = learning.time_to_threshold([(run(), run()) for _ in range(5)], "steps", 0.05).saved.ci
        expected += low > 0 or high < 0
    assert expected <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5


def test_no_curve_no_measures(tmp_path):
    for seed in range(2):
        for strategy in ("scratch", "joint"):
            curve(tmp_path, strategy, seed, [0.1, 0.3, 0.5, 0.6])
    for path in tmp_path.glob("*/history.csv"):
        path.unlink()
    assert found(tmp_path) is None
