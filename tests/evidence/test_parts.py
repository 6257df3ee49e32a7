from types import SimpleNamespace

import numpy as np
import pytest

from transferscope.comparison.best import within_families
from transferscope.comparison.evidence import parts
from transferscope.statistics.shrinkage import shrink
from transferscope.statistics.verdict import Pair

NAMES = list("abcd")


@pytest.fixture
def chance() -> tuple[np.ndarray, np.ndarray]:
    """d [5, 400] without a true difference, and four parts."""
    rng = np.random.default_rng(0)
    return (rng.uniform(size=(5, 400)) < 0.1).astype(float) - (rng.uniform(size=(5, 400)) < 0.1), np.arange(
        400
    ) % 4


def expected(
    d: np.ndarray, part: np.ndarray, names: list[str], groups: np.ndarray | None = None
) -> list[parts.Part]:
    """Of one table that is a family by itself."""
    [found] = parts.judged([parts.effects(d, part, names, groups)], 0.05)
    return found


def test_the_worst_part_is_named_only_where_its_interval_excludes_zero(chance):
    d, part = chance
    assert parts.worst(expected(d, part, NAMES)) is None
    d[:, part == 2] -= 0.5
    assert parts.worst(expected(d, part, NAMES)).name == "c"


def test_groups_are_the_items_and_parts_without_items_are_left_out(chance):
    d, part = chance
    found = expected(d, part, [*NAMES, "empty"], np.arange(400) // 8)
    assert [(one.name, one.n) for one in found] == [(name, 50) for name in NAMES]


def test_a_page_of_rows_without_a_difference_outlines_nothing_as_seldom_as_promised():
    rng = np.random.default_rng(1)
    part, names, pages = np.arange(300) % 10, [str(k) for k in range(10)], 60
    outlined = 0
    for _ in range(pages):
        rows = []
        for _ in range(12):
            lost, won = (
                (rng.normal(size=(5, 1)) * 0.3 + rng.normal(size=(5, 300)) > 1.5).astype(float)
                for _ in range(2)
            )
            rows.append(parts.effects(won - lost, part, names, None))
        outlined += any(one.is_claimed for row in parts.judged(rows, 0.05) for one in row)
    assert outlined <= 0.05 * pages + 3 * (0.05 * 0.95 * pages) ** 0.5


def test_what_a_later_step_of_holm_tells_its_interval_tells_too(chance):
    d, part = chance[0], chance[1] % 2
    d[:, part == 0] += 0.4
    shifts = np.linspace(0, 0.2, 400)
    p = [parts.effects(d - shift, part, NAMES, None)["b"].p_value() for shift in shifts]
    d[:, part == 1] -= next(shift for shift, one in zip(shifts, p, strict=True) if one < 0.04)
    a, b = expected(d, part, NAMES)
    assert a.is_claimed and b.is_claimed and b.p_adjusted > 0.025 and b.ci[1] == 0.0


def test_holm_and_the_simultaneous_interval_agree_on_the_strongest_part(chance):
    d, part = chance
    d[:, part == 1] += 0.4
    found = {one.name: one for one in expected(d, part, NAMES)}
    assert found["b"].is_claimed and found["b"].p_adjusted <= 0.05
    assert all(found[name].p_adjusted > 0.05 for name in "acd")


def test_shrinking_takes_back_what_the_extreme_one_owes_to_chance():
    rng = np.random.default_rng(2)
    errors = []
    for _ in range(500):
        true = rng.normal(scale=1.5, size=12)
        seen = true + rng.normal(size=12)
        drawn = shrink(seen, np.ones(12))
        best = seen.argmax()
        errors.append((seen[best] - true[best], drawn[best] - true[best]))
    raw, shrunken = np.mean(errors, axis=0)
    assert raw > 0.5 and abs(shrunken) < 0.2


def test_estimates_that_agree_within_their_errors_all_become_their_mean():
    assert shrink([0.01, 0.03], [1.0, 1.0]) == pytest.approx([0.02, 0.02])
    assert shrink([0.4], [1.0]) == [0.4]


def test_the_largest_of_a_family_is_shown_beside_what_is_left_of_it():
    """The largest |Δ| of twelve with true effects as large as their errors is 1.3 times the true one and
    more; shrunk it is about right."""
    rng, shown, drawn, true = np.random.default_rng(3), [], [], []
    for _ in range(150):
        effects = rng.normal(0, 0.02, 12)
        cells = [planted(rng, effect, "one") for effect in effects]
        largest = max(range(12), key=lambda k: abs(cells[k].delta))
        sign = np.sign(cells[largest].delta)
        shown.append(sign * cells[largest].delta)
        drawn.append(sign * within_families(cells, "fixed")[largest])
        true.append(sign * effects[largest])
    assert np.mean(shown) > 1.3 * np.mean(true) and 0.8 < np.mean(drawn) / np.mean(true) < 1.2
    assert within_families([planted(rng, 0.1, "alone"), cells[0], cells[1]], "fixed")[0] is None


def planted(rng: np.random.Generator, effect: float, family: str) -> SimpleNamespace:
    means = effect + rng.normal(0, 0.06, (5, 1))  # of the seeds: an error of 0.027 in their mean
    pair = Pair(np.repeat(means, 200, axis=1), np.zeros(5, bool), np.zeros(5, bool), 10, "seeds")
    return SimpleNamespace(family=family, delta=float(means.mean()), pair=lambda items: pair)
