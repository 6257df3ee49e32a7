import json
from pathlib import Path

import pytest

from store_fixture import write_run
from transferscope.compare import compare
from transferscope.evidence import learning

STEPS = (0, 100, 200, 300)


def curve(store: Path, strategy: str, seed: int, scores: list[float], source: tuple[int, float] = (0, 0.0)) -> None:
    """A run whose history and source training (steps, seconds) are given."""
    fingerprint = write_run(store, strategy, seed, 1.0, n=60, initialisation="source" if source[0] else "random")["fingerprint"]
    rows = [f"{step},{step / 100},{score}" for step, score in zip(STEPS, scores, strict=True)]
    (store / fingerprint / "history.csv").write_text("\n".join(["step,seconds,handwritten/test/accuracy", *rows]))
    path = store / fingerprint / "record.json"
    record = json.loads(path.read_text())
    record["result"]["steps"]["source"], record["timings"]["source_seconds"] = source
    path.write_text(json.dumps(record))


def found(store: Path) -> learning.Learning:
    (cell,) = compare(store)
    return learning.of(cell, 0.05)


def test_measures_by_hand(tmp_path):
    for seed in range(3):
        curve(tmp_path, "scratch", seed, [0.1, 0.3, 0.5, 0.6])
        curve(tmp_path, "fine_tuning", seed, [0.4, 0.6, 0.7, 0.7 + 0.01 * seed], (300, 5.0))
    measured = found(tmp_path)
    assert measured.jumpstart.delta == pytest.approx(0.3) and measured.early.delta == pytest.approx(0.3)
    assert measured.asymptote.delta == pytest.approx(0.11) and measured.first == 100 and measured.last == 300
    assert measured.area.delta == pytest.approx((0.3 + 0.25 + 0.155) / 3)
    assert measured.asymptote.ci == pytest.approx((0.11 - 0.02484, 0.11 + 0.02484), abs=1e-4)  # t(2) 4.303 × 0.01 / √3
    assert (measured.steps.strategy, measured.steps.baseline, measured.steps.saved.delta) == (400, 300, -100)  # 100 and 300 of the source
    assert (measured.seconds.strategy, measured.seconds.shared) == (6.0, 0)


def test_source_seconds_of_another_run_are_called_shared(tmp_path):
    for seed, seconds in enumerate((5.0, 0.0)):
        curve(tmp_path, "scratch", seed, [0.1, 0.3, 0.5, 0.6])
        curve(tmp_path, "fine_tuning", seed, [0.4, 0.6, 0.7, 0.7], (300, seconds))
    assert found(tmp_path).seconds.shared == 1


def test_a_threshold_some_seeds_never_reach_gives_no_saving(tmp_path):
    for seed, last in enumerate((0.7, 0.5)):
        curve(tmp_path, "scratch", seed, [0.1, 0.3, 0.5, 0.6])
        curve(tmp_path, "joint", seed, [0.1, 0.2, 0.3, last])
    time = found(tmp_path).steps
    assert (time.reached, time.saved, time.strategy) == (1, None, 300)


def test_no_curve_no_measures(tmp_path):
    for seed in range(2):
        for strategy in ("scratch", "joint"):
            curve(tmp_path, strategy, seed, [0.1, 0.3, 0.5, 0.6])
    for path in tmp_path.glob("*/history.csv"):
        path.unlink()
    assert found(tmp_path) is None
