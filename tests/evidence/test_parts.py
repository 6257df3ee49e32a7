import numpy as np
import pytest

from transferscope.evidence import parts
from transferscope.evidence.shrinkage import shrink

NAMES = list("abcd")


@pytest.fixture
def chance() -> tuple[np.ndarray, np.ndarray]:
    """d [5, 400] without a true difference, and four parts."""
    rng = np.random.default_rng(0)
    return (rng.uniform(size=(5, 400)) < 0.1).astype(float) - (rng.uniform(size=(5, 400)) < 0.1), np.arange(400) % 4


def test_the_worst_part_is_named_only_where_its_interval_excludes_zero(chance):
    d, part = chance
    assert parts.worst(parts.differences(d, part, NAMES, None, 0.05)) is None
    d[:, part == 2] -= 0.5
    assert parts.worst(parts.differences(d, part, NAMES, None, 0.05)).name == "c"


def test_groups_are_the_items_and_parts_without_items_are_left_out(chance):
    d, part = chance
    found = parts.differences(d, part, [*NAMES, "empty"], np.arange(400) // 8, 0.05)
    assert [(one.name, one.n) for one in found] == [(name, 50) for name in NAMES]


def test_false_worst_parts_are_as_rare_as_promised():
    rng = np.random.default_rng(1)
    part = np.arange(300) % 10
    named = 0
    for _ in range(200):
        lost, won = ((rng.normal(size=(5, 1)) * 0.3 + rng.normal(size=(5, 300)) > 1.5).astype(float) for _ in range(2))
        named += any(one.excludes_zero for one in parts.differences(won - lost, part, [str(k) for k in range(10)], None, 0.05))
    assert named / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_holm_and_the_simultaneous_interval_agree_on_the_strongest_part(chance):
    d, part = chance
    d[:, part == 1] += 0.4
    found = {one.name: one for one in parts.differences(d, part, NAMES, None, 0.05)}
    assert found["b"].excludes_zero and found["b"].p_adjusted <= 0.05
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
