"""The study judges what `compare` judges: its arithmetic for many experiments is that of verdict.py, one by
one."""

import numpy as np
import pytest

from transferscope.calibration import metrics
from transferscope.calibration.coverage import latent
from transferscope.calibration.deciding import bh_levels, course, judged
from transferscope.calibration.many import Layout, family
from transferscope.statistics import influence
from transferscope.statistics.sequential import Design, look
from transferscope.statistics.verdict import Pair, estimate, judge

UNIT = 0.02  # of the scores of `some_families`
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
            assert effects.minimum_detectable(alpha)[b] == pytest.approx(
                expected.minimum_detectable(alpha), rel=1e-8
            )


def test_families_are_decided_as_judge_decides_them():
    """Differences, equivalences and neither side by side, so that Holm's later steps matter; scores of
    another unit too."""
    rng, none = np.random.default_rng(1), np.zeros(5, dtype=bool)
    families = some_families(40, 5, 0.1, rng)
    found = judged(family([Layout(families[:, cell]).effects(UNIT) for cell in range(12)]), 0.01, 0.05)
    for b, cells in enumerate(families):
        expected = [
            cell.verdict
            for cell in judge([Pair(d, none, none, 100, unit=UNIT) for d in cells], 0.01, 0.05, 12)
        ]
        assert [verdict in ("positive", "negative") for verdict in expected] == found.difference[
            :, b
        ].tolist()
        assert [verdict == "equivalent" for verdict in expected] == found.equivalent[:, b].tolist()
        assert [
            {"positive": 1, "negative": -1}.get(v, s) for v, s in zip(expected, found.sign[:, b], strict=True)
        ] == found.sign[:, b].tolist()
    decided = found.difference | found.equivalent
    assert min(found.difference.sum(), found.equivalent.sum(), (~decided).sum()) >= 10


def test_latent_scores_have_the_accuracies_that_the_truth_is_computed_from():
    from transferscope.calibration.coverage import latent_truth

    d = latent(seeds=20, items=500, seed_sd=0.4, draws=200, rng=np.random.default_rng(0))
    assert set(np.unique(d)) == {-1, 0, 1}
    assert d.mean() == pytest.approx(latent_truth(0.4), abs=0.006)
    assert latent_truth(0.0) == pytest.approx(0.8069 - 0.8413, abs=2e-4)


def some_families(count: int, seeds: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    """[count, 12, seeds, 300]: differences, equivalences and neither side by side."""
    level = rng.choice([0.0, 0.0, 0.0, 0.004, 0.02, 0.04], size=(count, 12, 1, 1)) * rng.choice(
        [-1, 1], size=(count, 12, 1, 1)
    )
    sd = spread * rng.choice([0.1, 1.0, 3.0], size=(count, 12, 1, 1))
    noise = (
        0.2 * rng.normal(size=(count, 12, seeds, 1))
        + rng.normal(size=(count, 12, 1, 300))
        + rng.normal(size=(count, 12, seeds, 300))
    )
    return level + sd * noise


@pytest.mark.parametrize("spread", [0.05, 0.2])
def test_looks_at_families_are_those_of_a_sweep(spread):
    """`sequential.look` at every look, cell by cell: decided, stopped and undecided ones side by side."""
    design, margin, rng = Design((3, 5, 8), 0.05), 0.01, np.random.default_rng([int(100 * spread)])
    families = some_families(15, 8, spread, rng)
    found = course(
        [family([Layout(families[:, m, :k]).effects(UNIT) for m in range(12)]) for k in design.looks],
        margin,
        design,
    )
    states = []
    for b, cells in enumerate(families):
        last, still_open = {}, list(range(12))
        for number, seeds in enumerate(design.looks, start=1):
            pairs = [
                Pair(cells[m, :seeds], np.zeros(seeds, bool), np.zeros(seeds, bool), 100, unit=UNIT)
                for m in still_open
            ]
            told = [finding.verdict for finding in last.values()]
            untold = (12 - told.count("positive") - told.count("negative"), 12 - told.count("equivalent"))
            last |= dict(
                zip(still_open, look(pairs, [margin] * len(pairs), number, untold, 12, design), strict=True)
            )
            still_open = [m for m in still_open if last[m].state == "open"]
        assert [last[m].verdict in ("positive", "negative") for m in range(12)] == found.difference[
            :, b
        ].tolist()
        assert [last[m].verdict == "equivalent" for m in range(12)] == found.equivalent[:, b].tolist()
        assert [last[m].seeds for m in range(12)] == found.seeds[:, b].tolist()
        states += [finding.state for finding in last.values()]
    assert min(states.count(state) for state in ("decided", "stopped", "undecided")) >= 2


def test_the_false_discovery_rate_is_held_as_judge_holds_it():
    rng, none = np.random.default_rng(4), np.zeros(5, dtype=bool)
    families = some_families(30, 5, 0.1, rng)
    effects = family([Layout(families[:, m]).effects(UNIT) for m in range(12)])
    told = judged(effects, 0.01, 0.05, "bh")
    decided = told.difference | told.equivalent
    half = effects.half(bh_levels(effects, 0.01, 0.05))
    for b, cells in enumerate(families):
        judged_one = judge([Pair(d, none, none, 100, unit=UNIT) for d in cells], 0.01, 0.05, 12, "bh")
        assert [cell.verdict == "equivalent" for cell in judged_one] == told.equivalent[:, b].tolist()
        assert [cell.verdict in ("positive", "negative") for cell in judged_one] == told.difference[
            :, b
        ].tolist()
        uncut = [m for m, cell in enumerate(judged_one) if not cell.by_step_down]
        assert [judged_one[m].ci_simultaneous[1] - judged_one[m].delta for m in uncut] == pytest.approx(
            [half[m, b] for m in uncut]
        )
    assert min(told.difference.sum(), told.equivalent.sum(), (~decided).sum()) >= 10


@pytest.mark.parametrize("metric", metrics.INFLUENCE)
def test_influence_values_of_many_draws_are_those_of_one(metric):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 10, (3, 60))
    labels[0][labels[0] == 4] = 5  # a class without a test item
    named = np.where(rng.random((3, 4, 60)) < 0.6, labels[:, None], rng.integers(0, 10, (3, 4, 60)))
    named[1, 2][named[1, 2] == 7] = 8  # a class that one run never names
    found = metrics.INFLUENCE[metric](named, labels)
    arms = [named, named[:, ::-1] // 2]
    for b in range(3):
        fewest = [[influence.fewest_named(np.eye(10)[run], labels[b]) for run in arm[b]] for arm in arms]
        assert metrics.of_one_change(labels, arms)[b] == pytest.approx(
            influence.of_one_change(labels[b], np.array(fewest))
        )
        assert metrics.of_one_change(labels)[b] == pytest.approx(influence.of_one_change(labels[b]))
        for k in range(4):
            assert found[b, k] == pytest.approx(influence.values(np.eye(10)[named[b, k]], labels[b], metric))
    d = found - found[::-1]
    change = metrics.of_one_change(labels)
    for b, effect in enumerate(
        estimate(one, influence=of_one) for one, of_one in zip(d, change, strict=True)
    ):
        assert Layout(d).effects(influence=change).half(0.01)[b] == pytest.approx(effect.half(0.01))


def test_influence_values_of_auroc_and_its_truth():
    rng = np.random.default_rng(6)
    positive, score = rng.random((3, 60)) < 0.3, rng.normal(size=(3, 4, 60))
    found = metrics.auroc(score, positive)
    for b in range(3):
        for k in range(4):
            p = 1 / (1 + np.exp(-score[b, k]))
            assert found[b, k] == pytest.approx(
                influence.values(np.stack([1 - p, p], 1), positive[b].astype(int), "auroc")
            )
    d, change = metrics.binormal(0.3, 5, 400, 300, rng)
    assert d.mean() == pytest.approx(metrics.binormal_truth(), abs=0.004)
    assert change[0] == pytest.approx(1 / (2 * 0.3), rel=0.3)
