"""docs/how-to/adding-a-strategy.md followed to the letter, and what a wrong yaml of one's own is told."""

import re
import shlex
from pathlib import Path

import pytest

from transferscope.cli.main import main
from transferscope.store.record import read_history, read_record, run_folders

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "adding-a-strategy.md").read_text()
QUICK = [
    "trainer.steps=4",
    "trainer.source_steps=4",
    "trainer.evaluations=2",
    "trainer.accelerator=cpu",
    "tracking=off",
]


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> Path:
    """The current folder, from which Python imports as PYTHONPATH=. makes it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # the verb sets it: here only for the test
    (tmp_path / "my_conf" / "strategy").mkdir(parents=True)
    return tmp_path


def test_the_page_works_when_followed(own_folder):
    for kind, path in (("python", "my_strategies.py"), ("yaml", "my_conf/strategy/mine.yaml")):
        assert f"`{path}`" in PAGE
        (own_folder / path).write_text(re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[1])
    [command] = re.findall(r"^transferscope .*--config-dir my_conf$", PAGE, re.MULTILINE)
    assert main([*shlex.split(command)[1:], *QUICK]) == 0
    [folder] = run_folders(own_folder / "runs")
    record = read_record(folder)
    assert (
        record["status"] == "done"
        and record["cell"]["strategy"] == "mine"
        and record["cell"]["initialisation"] == "source"
    )
    assert (
        record["sees"] == ["source_inputs", "source_labels", "target_labels"]
        and record["consumed"]["strategy"]["pull"] == 0.01
    )
    assert {"loss/target", "loss/distance"} <= read_history(folder)[-1].keys()


STRATEGIES = """
from transferscope.strategies.target_only import TargetOnly
class Fine(TargetOnly): ...
class Typo(TargetOnly):
    sees = frozenset({"target_label"})
class NoStrategy: ...
"""
WRONG = [
    ("_target_: own.Fine\nname: wrong", ["strategy.starts_from", "random, weights, source"]),
    (
        "_target_: own.Fine\nname: wrong\nstarts_from: sauce",
        ["strategy.starts_from=sauce", "did you mean 'source'"],
    ),
    ("_target_: own.Fine\nstarts_from: random", ["strategy.name"]),
    ("_target_: own.Absent\nname: wrong\nstarts_from: random", ["strategy._target_=own.Absent"]),
    (
        "_target_: nowhere.Fine\nname: wrong\nstarts_from: random",
        ["strategy._target_=nowhere.Fine", "PYTHONPATH"],
    ),
    ("_target_: own.NoStrategy\nname: wrong\nstarts_from: random", ["strategy._target_=own.NoStrategy"]),
    ("_target_: own.Typo\nname: wrong\nstarts_from: random", ["target_label", "target_labels"]),
    (
        "_target_: own.Fine\nname: wrong\nstarts_from: random\nwidth: 3",
        ["strategy.width=3", "Fine takes no keys"],
    ),
]


@pytest.mark.parametrize(("yaml", "words"), WRONG)
def test_a_wrong_yaml_is_refused_in_one_line(own_folder, capsys, yaml, words):
    (own_folder / "own.py").write_text(STRATEGIES)
    (own_folder / "my_conf" / "strategy" / "wrong.yaml").write_text(f"# wrong\n{yaml}\n")
    assert (
        main(["run", "target=blobs", "backbone=mlp", "strategy=wrong", "--config-dir", "my_conf", *QUICK])
        == 2
    )
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and all(word in message for word in words), message
