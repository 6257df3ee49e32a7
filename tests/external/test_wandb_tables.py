"""Tables that runs of a project logged, through W&B itself: its client writes them to a server of the tests,
and its public API reads them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wandb_stub
from transferscope.errors import RequestError
from transferscope.external import wandb_tables
from transferscope.external.columns import Choice
from transferscope.tracking import tables
from wandb_stub import Server

TESTS = Path(__file__).parents[1]
KEY = "0123456789" * 4
MAP = ["--map", "item=image,label=gold,prediction=answer,strategy=config.model.name,seed=config.seed"]


def python(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as W&B settles its server and account once a process."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own |= {
        "HOME": str(folder), "NETRC": str(folder / "netrc"), "WANDB_ERROR_REPORTING": "false",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src")]), **environment,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=own, stdin=subprocess.DEVNULL, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wandb_stub.serving() as server:
        done = python(
            tmp_path_factory.mktemp("theirs"), str(Path(__file__).with_name("wandb_runs.py")),
            WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield server
        assert (server.unknown, server.errors) == (set(), [])


def compared(server: Server, folder: Path, *words: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    access = {"WANDB_API_KEY": key} if key else {}
    return python(folder, "-m", "transferscope.cli", "compare", *words, WANDB_BASE_URL=server.url, **access)


def test_what_is_asked_of_a_run_is_a_column_of_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"seed": 3.0, "optimizer": {"lr": 0.1}, "model.name": "small", "layers": [1, 2]}
    logged = tables.RunTable("first", None, config, ["item", "score", "mixed"], [["a", 1, 2], ["b", 0, "x"]])
    monkeypatch.setattr(tables, "run_tables", lambda runs: [logged])

    def columns(**asked: str) -> dict[str, list[object]]:
        [table] = wandb_tables.read("wandb:me/p", Choice.checked(asked))
        assert table.content is not None and table.header == table.content.column_names
        return table.content.to_pydict()

    own = {"item": ["a", "b"], "score": [1, 0], "mixed": ["2", "x"]}
    assert columns() == own
    found = columns(
        seed="config.seed", variant="config.optimizer.lr", strategy="config.model.name", source="run.name",
        target="run.group",
    )  # fmt: skip
    assert found == own | {
        "config.seed": ["3", "3"], "config.optimizer.lr": ["0.1"] * 2, "config.model.name": ["small"] * 2,
        "run.name": ["first"] * 2, "run.group": [""] * 2,
    }  # fmt: skip
    for key, said in (
        ("optimizr.lr", "no 'optimizr.lr'; did you mean 'optimizer'"),
        ("layers", "several values"),
    ):
        with pytest.raises(RequestError, match=f"run first: its config has {said}"):
            columns(seed=f"config.{key}")


@pytest.mark.slow
def test_the_last_table_of_each_run_is_read_and_paired_by_seed(server: Server, tmp_path: Path) -> None:
    done = compared(server, tmp_path, "wandb:me/answers", *MAP, "--format", "json")
    assert done.returncode == 0, done.stderr
    [cell] = json.loads(done.stdout)["cells"]
    assert (cell["strategy"], cell["seeds"], cell["items"]) == ("tuned", 2, 4)
    # tuned has 4 and 3 of 4 right, scratch 2 and 1
    assert cell["delta"] == pytest.approx(0.5)
    assert not [*tmp_path.rglob("*.table.json")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "runs, words, said",
    [
        ("wandb:me/nothing", MAP, "me/nothing is no project there, or not one that you may read"),
        ("wandb:me", MAP, "RUNS=wandb:me: wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/TABLE is needed"),
        ("wandb:me/several", MAP, "several tables (other, test/answers); name one: wandb:me/several/other"),
        ("wandb:me/several/test/answer", MAP, "has logged such a table; did you mean 'test/answers'?"),
        ("wandb:me/several/test/answers", [MAP[0], MAP[1].replace("config.seed", "config.sed")],
         "its config has no 'sed'; did you mean 'seed'?"),
        ("wandb:me/answers", [MAP[0], MAP[1].replace(",seed=config.seed", "")],
         "item 'a' is in scratch, seed 0 twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_a_line(
    runs: str, words: list[str], said: str, server: Server, tmp_path: Path
) -> None:
    done = compared(server, tmp_path, runs, *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.slow
def test_of_several_tables_one_is_named(server: Server, tmp_path: Path) -> None:
    done = compared(server, tmp_path, "wandb:me/several/test/answers", *MAP)
    assert done.returncode == 0 and "tuned" in done.stdout


@pytest.mark.slow
def test_without_a_key_nothing_is_asked(server: Server, tmp_path: Path) -> None:
    done = compared(server, tmp_path, "wandb:me/answers", *MAP, key="")
    assert done.returncode == 2 and "reading from W&B needs an API key" in done.stderr
