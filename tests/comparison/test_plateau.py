"""A baseline that was still improving when it stopped; a discriminator that had nothing left to say."""

import pytest

from store_fixture import write_run, write_runs
from transferscope.compare import compare
from transferscope.comparison.plateau import last_rise


def test_the_rise_over_the_last_third_by_hand():
    curves = [[0.1, 0.5, 0.6, 0.70, 0.72, 0.74, 0.76], [0.2, 0.5, 0.6, 0.70, 0.72, 0.75, 0.77], [0.3, 0.4, 0.5, 0.60, 0.62, 0.64, 0.65]]
    assert last_rise(curves, 0.01) == pytest.approx((0.04 + 0.05 + 0.03) / 3)
    assert last_rise(curves, 0.05) is None  # not more than what matters
    assert last_rise([[0, 0, 0, 0.2], [0, 0, 0, -0.1]], 0.01) is None  # chance
    assert last_rise([[0, 0, 0, 0.2]], 0.01) is None  # one run
    assert last_rise([[0, 0, 0.2], [0, 0, 0.3]], 0.01) is None  # no last third
    assert last_rise([[0.1, 0.2, 0.3, 0.4]] * 2, 0.01) == pytest.approx(0.1)
    assert last_rise([[0.9, 0.9, 0.9, 0.9]] * 3, 0.0) is None


def test_nothing_beats_a_baseline_that_was_still_improving(tmp_path):
    for folder, settled in ((tmp_path / "stopped", 2 / 3), (tmp_path / "rising", 1.0)):
        write_runs(folder, "scratch", 0.5, settled=settled)
        write_runs(folder, "fine_tuning", 2.0)
        write_runs(folder, "dann", -0.5)
    stopped, rising = ({cell.strategy: cell for cell in compare(tmp_path / name)} for name in ("stopped", "rising"))
    assert stopped["fine_tuning"].verdict == "positive" and not stopped["fine_tuning"].flags
    assert rising["fine_tuning"].verdict == "undecided"
    assert rising["fine_tuning"].reason == "the baseline was still improving: train it longer"
    (flag,) = rising["fine_tuning"].flags
    assert flag.startswith("baseline still improving: +") and flag.endswith("points over its last third")
    assert rising["dann"].verdict == "negative"  # a longer baseline would be ahead all the more
    for width in (80, 140):
        assert "because the baseline was still improving" in " ".join(compare(tmp_path / "rising").to_table(width).split())


def test_a_run_without_a_history_is_taken_as_it_is(tmp_path):
    for job in write_runs(tmp_path, "scratch", 0.5, settled=1.0):
        (tmp_path / job["fingerprint"] / "history.csv").unlink()
    write_runs(tmp_path, "fine_tuning", 2.0)
    assert compare(tmp_path).cells[0].verdict == "positive"


def test_flags_of_runs_are_counted(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "dann", 1.0, seeds=2)
    write_runs(tmp_path, "joint", 1.0)
    for seed in (2, 3, 4):
        write_run(tmp_path, "dann", seed, 1.0, flags=("saturated discriminator",))
    flags = {cell.strategy: cell.flags for cell in compare(tmp_path)}
    assert flags == {"dann": ["saturated discriminator in 3 of 5 runs"], "joint": []}
