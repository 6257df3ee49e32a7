"""The display of a sweep: how long what is left may take, and its width."""

import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from transferscope.sweeps.progress import Pace, Progress


def asked(strategy: str, steps: int) -> SimpleNamespace:
    return SimpleNamespace(cell={"strategy": strategy}, steps=steps)


def test_what_is_left_is_expected_to_take_as_long_as_its_like():
    pace = Pace()
    assert pace.left([asked("dann", 100)], 1.0) is None  # nothing is done yet
    for seconds in (1.0, 3.0):
        pace.add(asked("scratch", 100), seconds)
    pace.add(asked("dann", 100), 8.0)
    # 12 seconds of work were done in 6: two side by side
    assert pace.left([asked("scratch", 100), asked("dann", 100)], 6.0) == pytest.approx((2 + 8) / 2)
    # of a strategy of which none is done: by its steps, 12 seconds were 300
    assert pace.left([asked("mcd", 600)], 6.0) == pytest.approx(24 / 2)
    assert pace.left([], 6.0) is None


def test_the_display_fits_a_terminal_of_eighty_columns(tmp_path):
    progress = Progress(tmp_path, "a-sweep-of-a-long-name-0123456789", [], [])
    progress.console = Console(width=80, force_terminal=True)
    cell = {"strategy": "feature_extraction", "source": "handwritten_digits_rotated",
            "target": "printed_letters", "label_budget": 10}  # fmt: skip
    progress.jobs = {str(n): SimpleNamespace(cell=cell, asked=SimpleNamespace(seed=n)) for n in range(1200)}
    states = ["running"] * 2 + ["missing"] * 1198
    progress.states = {str(n): (state, "host, pid 1, step 100 of 300") for n, state in enumerate(states)}
    with progress.console.capture() as shown:
        progress.console.print(progress._view())
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.get().splitlines()]
    assert max(map(len, lines)) <= 80 and len(lines) == 3 and "1198 left" in lines[0]
