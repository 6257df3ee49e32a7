"""The display of a sweep: how long what is left may take, and its width."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.sweeps.groups import one_of_each_first
from transferscope.sweeps.progress import Pace, Progress, Unfinished
from transferscope.sweeps.verdicts_so_far import VerdictsSoFar

GOLDEN = Path(__file__).parents[1] / "golden" / "store"


def test_what_is_left_is_expected_to_take_as_long_as_its_like():
    pace = Pace()
    assert pace.left([Unfinished(("dann",), 100)], 1.0) is None  # nothing is done yet
    for seconds in (1.0, 3.0):
        pace.add(("scratch",), 100, seconds)
    pace.add(("dann",), 100, 8.0)
    # 12 seconds of work were done in 6: two side by side
    left = [Unfinished(("scratch",), 100)] * 6 + [Unfinished(("dann",), 100)]
    assert pace.left(left, 6.0) == pytest.approx((6 * 2 + 8) / 2)
    # the last one runs alone
    assert pace.left(left[-2:], 6.0) == pytest.approx(8)
    # of a strategy of which none is done: by its steps, 12 seconds were 300
    assert pace.left([Unfinished(("mcd",), 600)] * 4, 6.0) == pytest.approx(4 * 24 / 2)
    assert pace.left([], 6.0) is None
    # of those with as many labels, if there is one
    pace = Pace()
    for labels, seconds in ((10, 1.0), (20, 3.0)):
        pace.add(("dann", "usps", labels), 100, seconds)
    left = [Unfinished(("dann", target, labels), 100) for target, labels in (("usps", 20), ("mnist", 20))]
    assert pace.rest(left) == pytest.approx([3, 2])


def test_a_run_at_work_tells_how_long_its_like_will_take():
    pace = Pace()
    pace.add(("scratch",), 100, 2.0)
    begun = Unfinished(("dann",), 100, share=0.25, seconds=5.0)  # 15 seconds are left of its 20
    assert pace.rest([begun, Unfinished(("dann",), 200)]) == pytest.approx([15, 40])
    # 7 seconds of work were done in 7
    assert pace.left([begun, Unfinished(("dann",), 200)], 7.0) == pytest.approx(55)


def test_the_display_fits_a_terminal_of_eighty_columns(tmp_path):
    progress = Progress(tmp_path, "a-sweep-of-a-long-name-0123456789", [], [])
    progress.console = Console(width=80, force_terminal=True)
    cell = {"strategy": "feature_extraction", "source": "handwritten_digits_rotated",
            "target": "printed_letters", "label_budget": 10}  # fmt: skip
    progress.jobs = {
        str(n): SimpleNamespace(cell=cell, steps=300, asked=SimpleNamespace(seed=n)) for n in range(1200)
    }
    states = ["running"] * 2 + ["missing"] * 1198
    progress.states = {str(n): (state, "host, pid 1, step 100 of 300") for n, state in enumerate(states)}
    with progress.console.capture() as shown:
        progress.console.print(progress._view())
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.get().splitlines()]
    assert max(map(len, lines)) <= 80 and len(lines) == 3 and "1198 left" in lines[0]


def test_one_run_of_every_strategy_and_backbone_comes_first():
    def group(strategy: str, backbone: str = "mlp") -> list:
        return [SimpleNamespace(request=SimpleNamespace(cell={"strategy": strategy, "backbone": backbone}))]

    grid = [group(name) for name in ("scratch", "scratch", "dann", "scratch", "dann")] + [
        group("dann", "lenet")
    ]
    assert one_of_each_first(grid) == [grid[place] for place in (0, 2, 5, 1, 3, 4)]


def text(*shown: object) -> str:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(*shown)
    return captured.get()


def test_the_verdicts_so_far_are_those_of_compare_stamped_and_no_wider_than_the_terminal(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "runs")
    so_far = VerdictsSoFar(tmp_path / "runs", "strategies", of=25)
    so_far.update(10, width=80, rows=20)
    interim = text(so_far.view)
    assert "INTERIM" in interim and "10 of 25 runs" in interim
    for cell in compare(tmp_path / "runs" / "sweeps" / "strategies"):
        assert re.search(rf"{cell.strategy} +{cell.verdict}", interim)
    so_far.update(11, width=80, rows=20)  # too soon
    assert text(so_far.view) == interim
    last = text(so_far.compare(25, width=60, rows=2))
    assert "INTERIM" not in last and "and 4 cells more" in last
    assert max(map(len, last.splitlines())) <= 80


def test_before_there_is_a_cell_there_are_no_verdicts_so_far(tmp_path):
    assert VerdictsSoFar(tmp_path, "strategies", of=25).compare(3, width=80) is None


def test_a_sweep_shows_its_verdicts_where_asked_and_only_then_has_them_read(tmp_path, capfd):
    sweep = ["run", "-m", "target=blobs", "source=blobs_shifted", "backbone=mlp", "trainer.steps=4",
        "trainer.source_steps=4", "trainer.evaluations=2", "strategy=scratch,fine_tuning", "seed=0,1",
        "tracking=off", "sweep=small"]  # fmt: skip
    for verdicts in ("false", "true"):
        store = tmp_path / verdicts
        assert main([*sweep, f"hydra.sweeper.verdicts={verdicts}", f"store={store}"]) == 0
    shown, lines = capfd.readouterr().err, [path.read_text() for path in (store / "readings").glob("*.jsonl")]
    assert shown.count("verdicts against scratch, 4 runs") == 1
    # the seeds that the plan has are no growth
    assert any('"planned": [0, 1]' in line for line in lines)
    unread = [path.read_text() for path in (tmp_path / "false" / "readings").glob("*.jsonl")]
    assert len(unread) == 1 and "began" in unread[0]
