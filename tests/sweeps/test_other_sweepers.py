"""Sweepers of another make are told a validation score of each run; what only ours can do is refused beside
them in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from forked import exit_code, forked
from tiny_sweeper import register
from transferscope.cli.main import main
from transferscope.store.record import read_history, read_record, run_folders

WORDS = (
    "run", "-m", "target=blobs", "source=blobs_shifted", "backbone=mlp", "trainer.steps=4",
    "trainer.source_steps=4", "trainer.evaluations=2", "trainer.accelerator=cpu", "tracking=off",
    "role=trial", "hydra.launcher.n_jobs=1",
)  # fmt: skip


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """sweep(*words): with the tiny sweeper, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: exit_code(forked(*WORDS, "hydra/sweeper=tiny", *words, first=register), 120)


@pytest.mark.parametrize("rule", ["target_val", "source_val", "snd"])
def test_it_is_told_the_score_of_the_last_evaluation_and_no_test_score(sweep, tmp_path, capfd, rule):
    assert sweep(f"search.selection={rule}", "label_budget=10", "strategy=dann") == 0
    told = eval((tmp_path / "told.txt").read_text())
    columns = {"target_val": "blobs/val/accuracy", "source_val": "blobs_shifted/val/accuracy"}
    column = columns.get(rule, f"validator/{rule}")
    by_rate = {
        read_record(folder)["config"]["trainer"]["optimizer"]["lr"]: read_history(folder)[-1][column]
        for folder in run_folders(tmp_path / "runs")
    }
    assert told == pytest.approx([by_rate[0.01], by_rate[0.1]], rel=1e-6)
    said = capfd.readouterr().out
    assert f"TinySweeper is told {told[0]:.6g}, {rule} at the end: higher is better" in said


def test_a_run_that_could_have_no_such_score_is_refused_before_it_trains(sweep, tmp_path, capfd):
    assert sweep("label_budget=2") == 1
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("transferscope: search.selection=target_val: fine_tuning") and "snd serve" in said
    assert not run_folders(tmp_path / "runs")


def test_a_rule_that_reads_test_labels_is_refused(sweep, capfd):
    assert sweep("search.selection=oracle", "label_budget=10") == 1
    assert "search.selection=oracle: not one of target_val, source_val, " in capfd.readouterr().err


def test_what_only_ours_can_do_is_refused_beside_it(capsys):
    for flag in ("--dry-run", "--search", "--settle", "--until-decided"):
        assert main([*WORDS, "hydra/sweeper=tiny", flag]) == 2
        said = capsys.readouterr().err
        assert (
            said.startswith(f"transferscope: {flag}: hydra/sweeper=tiny knows nothing of it")
            and said.count("\n") == 1
        )


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hydra/sweeper=optuna", "hydra/sweeper=optuna: hydra-optuna-sweeper is not installed here; "),
        (
            "trainer.optimizer.lr=interval(0.001,0.1)",
            "trainer.optimizer.lr=interval(0.001,0.1): only --search draws from an interval; add --search",
        ),
        ("~tracking", "tracking: a value is needed, one of off, offline, online"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, tmp_path, word, told):
    assert main([*WORDS, word, f"store={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"transferscope: {told}") and said.count("\n") == 1


def test_hydras_basic_sweeper_is_ours(capsys, tmp_path):
    words = (*WORDS, "strategy=scratch,fine_tuning", f"store={tmp_path}", "--dry-run")
    assert main([*words, "hydra/sweeper=basic"]) == 0
    basic = capsys.readouterr().out
    assert main(list(words)) == 0
    assert capsys.readouterr().out == basic and "2 runs: 0 done, 2 to run" in basic


def test_several_config_folders_are_searched(capsys, tmp_path):
    conf = Path(__file__).parents[2] / "conf"
    for folder, group, name, old in (
        ("one", "strategy", "mine", "scratch"),
        ("two", "backbone", "small", "mlp"),
    ):
        path = tmp_path / folder / group / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text((conf / group / f"{old}.yaml").read_text())
    words = [*WORDS, "strategy=mine", "backbone=small", f"store={tmp_path}/runs", "--dry-run"]
    folders = ["--config-dir", str(tmp_path / "one"), f"--config-dir={tmp_path / 'two'}"]
    assert main([word for word in words if word != "backbone=mlp"] + folders) == 0
    assert "1 runs: 0 done, 1 to run" in capsys.readouterr().out
    assert main([*words, *folders[:2], "--config-dir", str(tmp_path / "three")]) == 2
    assert "three: no such folder" in capsys.readouterr().err
