"""experiments/atlas/build.py as it is called: one page of all experiments, from what their stores said."""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from transferscope import compare
from transferscope.cli.main import main

BUILD = Path(__file__).parents[1] / "experiments" / "atlas" / "build.py"
SWEEP = ["run", "-m", "sweep=demo", "target=blobs", "source=blobs_shifted", "backbone=mlp",
    "label_budget=2,5",
         "strategy=scratch,fine_tuning,source_only", "trainer.steps=4", "trainer.source_steps=4",
         "trainer.evaluations=1", "tracking=off", "seed=range(0,3)"]  # fmt: skip


def build(*arguments: str | Path) -> SimpleNamespace:
    """returncode, stdout, stderr of the script, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as at:
        at.setattr(sys, "argv", [str(BUILD), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(BUILD), run_name="__main__")
    return SimpleNamespace(returncode=end.value.code, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that tests read."""
    store = tmp_path_factory.mktemp("swept") / "runs"
    assert main([*SWEEP, f"store={store}"]) == 0
    return store


def test_every_cell_stands_on_the_page_with_its_verdict(swept: Path, tmp_path: Path) -> None:
    store, page = swept, tmp_path / "index.html"
    done = build(store, "--folder", tmp_path)
    assert done.returncode == 0 and "of 1 experiment" in done.stdout, done.stderr
    shown = re.findall(r'<td class="(\w+)" title="([^:]+): (\w+), (\S+) ', page.read_text())
    expected = [cell for baseline in ("scratch", "source_only") for cell in compare(store, baseline=baseline)]
    assert sorted((verdict, name) for verdict, name, _, _ in shown) == sorted(
        (cell.verdict, cell.strategy) for cell in expected
    )
    assert all(colour == verdict for colour, _, verdict, _ in shown)
    assert sorted(float(delta.replace("−", "-")) for *_, delta in shown) == sorted(
        round(100 * cell.delta, 1) for cell in expected
    )
    text = page.read_text()
    page.unlink()
    # of the kept cells, without the store
    assert build("--folder", tmp_path).returncode == 0 and page.read_text() == text


def test_a_store_replaces_its_own_cells_and_leaves_the_others(swept: Path, tmp_path: Path) -> None:
    lines = (BUILD.parent / "cells.csv").read_text().splitlines()
    here = [line for line in lines if line.startswith("moons,source_only,nt_moon0,nt_moon2,0,dann,")]
    assert len(here) == 1
    (tmp_path / "cells.csv").write_text(
        "\n".join(
            [lines[0], here[0], "demo,scratch,blobs,blobs_shifted,2,fine_tuning,,positive,0.9,0.8,1,3,9,\n"]
        )
    )
    assert build(swept, "--folder", tmp_path).returncode == 0
    after = (tmp_path / "cells.csv").read_text().splitlines()
    assert here[0] in after
    (replaced,) = (line for line in after if line.startswith("demo,scratch,") and ",2,fine_tuning," in line)
    assert replaced.split(",")[7:9] != ["positive", "0.9"]


def test_the_page_is_drawn_from_the_committed_cells(tmp_path: Path) -> None:
    for name in ("cells.csv", "scores.csv"):
        (tmp_path / name).write_text((BUILD.parent / name).read_text())
    assert build("--folder", tmp_path).returncode == 0
    for name in ("cells.csv", "scores.csv", "index.html"):
        assert (tmp_path / name).read_text() == (BUILD.parent / name).read_text(), (
            f"{name}: python experiments/atlas/build.py draws it anew"
        )


def test_a_store_without_an_experiment_is_one_line(tmp_path: Path) -> None:
    for store, words in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, "no experiment in it; transferscope run experiment=NAME"),
    ):
        done = build(store, "--folder", tmp_path)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "index.html").exists()
