"""experiments/atlas/build.py as it is called: one page of all experiments that the stores hold."""

import re
import subprocess
import sys
from pathlib import Path

from transferscope import cli, compare

BUILD = Path(__file__).parents[1] / "experiments" / "atlas" / "build.py"
SWEEP = ["run", "-m", "sweep=demo", "target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=2,5",
         "strategy=scratch,fine_tuning,source_only", "trainer.steps=20", "trainer.source_steps=20", "trainer.evaluations=1",
         "tracking=off", "seed=range(0,3)"]  # fmt: skip


def build(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, BUILD, *map(str, arguments)], capture_output=True, text=True)


def test_every_cell_stands_on_the_page_with_its_verdict(tmp_path: Path) -> None:
    store, page = tmp_path / "runs", tmp_path / "atlas.html"
    assert cli.main([*SWEEP, f"store={store}"]) == 0
    done = build(store, "-o", page)
    assert done.returncode == 0 and "of 1 experiment" in done.stdout, done.stderr
    shown = re.findall(r'<td class="(\w+)" title="([^:]+): (\w+), (\S+) ', page.read_text())
    expected = [cell for baseline in ("scratch", "source_only") for cell in compare(store, baseline=baseline)]
    assert sorted((verdict, name) for verdict, name, _, _ in shown) == sorted((cell.verdict, cell.strategy) for cell in expected)
    assert all(colour == verdict for colour, _, verdict, _ in shown)
    assert sorted(float(delta.replace("−", "-")) for *_, delta in shown) == sorted(round(100 * cell.delta, 1) for cell in expected)


def test_a_store_without_an_experiment_is_one_line(tmp_path: Path) -> None:
    for store, words in ((tmp_path / "none", "no such folder"), (tmp_path, "no experiment in it; transferscope run experiment=NAME")):
        done = build(store, "-o", tmp_path / "atlas.html")
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "atlas.html").exists()
