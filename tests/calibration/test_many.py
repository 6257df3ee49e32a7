"""The study judges what `compare` judges: its arithmetic for many experiments is that of verdict.py, one by one."""

import numpy as np
import pytest

from transferscope.calibration.alarms import false_differences
from transferscope.calibration.coverage import latent
from transferscope.calibration.many import Layout
from transferscope.verdict import Pair, estimate, judge

SHAPES = [(2, 1), (3, 7), (5, 200), (10, 722)]


@pytest.mark.parametrize(("seeds", "items"), SHAPES)
@pytest.mark.parametrize("kind", ["accuracies", "nothing differs", "one constant difference", "real numbers"])
def test_the_interval_under_test_is_the_verdicts_own(kind, seeds, items):
    rng = np.random.default_rng([seeds, items])
    d = {
        "accuracies": rng.integers(-1, 2, size=(6, seeds, items)),
        "nothing differs": np.zeros((2, seeds, items)),
        "one constant difference": np.full((2, seeds, items), -1.0),
        "real numbers": rng.normal(size=(6, seeds, items)) + rng.normal(size=(6, seeds, 1)),
    }[kind]
    effects = Layout(d).effects()
    for b, one in enumerate(d):
        expected = estimate(one)
        assert effects.delta[b] == pytest.approx(expected.delta, abs=1e-12)
        for alpha in (0.05, 0.05 / 12, 0.05 / 36):
            assert effects.half(alpha)[b] == pytest.approx(expected.half(alpha), rel=1e-12, abs=1e-12)
            assert effects.minimum_detectable(alpha)[b] == pytest.approx(expected.minimum_detectable(alpha), rel=1e-12, abs=1e-12)


def test_families_are_decided_as_judge_decides_them():
    """Differences, equivalences and neither side by side, so that Holm's later steps matter."""
    rng = np.random.default_rng(1)
    families, none = [], np.zeros(5, dtype=bool)
    for _ in range(40):
        level = rng.choice([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02], size=(12, 1, 1))
        noise = 0.01 * rng.normal(size=(12, 5, 1)) + 0.05 * rng.normal(size=(12, 1, 300)) + 0.05 * rng.normal(size=(12, 5, 300))
        families.append(level * rng.choice([-1, 0, 1], size=(12, 1, 1)) + noise * rng.choice([0.1, 1], size=(12, 1, 1)))
    families = np.stack(families)  # [40, 12, 5, 300]
    judged = [judge([Pair(d, none, none, 100) for d in family], 0.01, 0.05, 12) for family in families]
    expected = [any(cell.verdict in ("positive", "negative") for cell in family) for family in judged]
    found = false_differences([Layout(families[:, cell]).effects() for cell in range(12)], 0.01, 0.05)
    assert list(found) == expected
    assert 5 < sum(expected) < 35
    assert any(cell.verdict == "equivalent" for family in judged for cell in family)


def test_latent_scores_have_the_accuracies_that_the_truth_is_computed_from():
    from transferscope.calibration.coverage import latent_truth

    d = latent(seeds=20, items=500, seed_sd=0.4, draws=200, rng=np.random.default_rng(0))
    assert set(np.unique(d)) == {-1, 0, 1}
    assert d.mean() == pytest.approx(latent_truth(0.4), abs=0.006)
    assert latent_truth(0.0) == pytest.approx(0.8069 - 0.8413, abs=2e-4)
