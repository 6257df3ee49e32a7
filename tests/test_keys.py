"""Keys that nothing reads are refused wherever they stand, with + too; a note is kept and changes no run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transferscope.cli.main import main
from transferscope.store import record

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "strategy=dann", "label_budget=5",
    "trainer.steps=4", "trainer.source_steps=4",
         "trainer.evaluations=1", "trainer.accelerator=cpu", "tracking=off"]  # fmt: skip
# a sweep refuses by the same checks; of each kind one is asked for there
SWEPT = ["-m", "seed=0,1"]
IN_A_SWEEP = [
    "+logger=tensorboard", "+trainer.optimizer.name=adam", "+strategy@second=joint", "~tracking.tags",
    "+hydra.sweepers=2", "tracking=null", "+notes=text",
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    return lambda *words: main(["run", *SMALL, f"store={tmp_path / 'runs'}", *words])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("+logger=tensorboard", ["logger=tensorboard: no such key", "+notes.KEY=VALUE"]),
        ("+label_budgets=3", ["label_budgets=3: no such key; did you mean 'label_budget'?"]),
        ("++trainer.max_epochs=3",
         ["trainer.max_epochs=3: no such key among accelerator", "+notes.KEY=VALUE"]),
        ("+trainer.optimiser={lr: 0.1}", ["trainer.optimiser=", "did you mean 'optimizer'?"]),
        ("+trainer.optimizer.name=adam", ["trainer.optimizer.name=adam: AdamW takes lr"]),
        ("+trainer.optimizer._args_=[1]", ["trainer.optimizer._args_=[1]"]),
        ("+strategy._trade_off=2", ["strategy._trade_off=2", "did you mean 'trade_off'?"]),
        ("+backbone.starts_from=source", ["backbone.starts_from=source: MLP takes hidden, weights"]),
        ("+tracking.tag=x", ["tracking.tag=x: no such key; did you mean 'tags'?"]),
        ("+beside=[{seed: 1}]", ["beside=[{'seed': 1}]: no such key"]),
        ("+strategy@second=joint", ["second={", "no such key"]),
        ("+search.trials=3", ["+search.trials=3: only --search reads it"]),
        ("+hydra.launcher.jobs=2", ["hydra.launcher.jobs=2: no such key; did you mean 'n_jobs'?"]),
        ("+hydra.sweepers=2", ["hydra.sweepers=2: no such key; did you mean 'sweeper'?"]),
        ("~trainer.steps", ["trainer.steps: a value is needed"]),
        ("~tracking.tags", ["tracking.tags: a value is needed"]),
        ("tracking=null", ["tracking=null: the name of a yaml is needed"]),
        ("~strategy=true", ["~strategy=true: the name of a yaml is needed; leave strategy out"]),
        ("+notes=text", ["notes=text", "+notes.KEY=VALUE"]),
    ],
)  # fmt: skip
def test_a_key_that_nothing_reads_is_refused(
    word: str, expected: list[str], run: Callable[..., int], tmp_path: Path, capsys
) -> None:
    for sweep in ([], SWEPT) if word in IN_A_SWEEP else ([],):
        assert run(word, *sweep) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and all(part in said for part in expected), said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("section", ["search", "until_decided", "settle"])
def test_so_is_one_of_a_sweeps_own_section(section: str, run: Callable[..., int], capsys) -> None:
    assert (
        run(
            "-m",
            "strategy=scratch,dann",
            f"--{section.replace('_', '-')}",
            f"+{section}.metrik=nll",
            "--dry-run",
        )
        == 2
    )
    assert f"{section}.metrik=nll: no such key" in capsys.readouterr().err


def test_predict_refuses_it_too(tmp_path: Path, capsys) -> None:
    assert (
        main(
            [
                "rank",
                *(word for word in SMALL if "strategy" not in word),
                f"store={tmp_path}",
                "+trainer.num_nodes=2",
            ]
        )
        == 2
    )
    assert "trainer.num_nodes=2: no such key" in capsys.readouterr().err


def test_a_note_is_kept_and_makes_no_other_run(run: Callable[..., int], tmp_path: Path, capsys) -> None:
    assert run("+notes.why=first look", "+notes.who={name: me, tries: [1, 2]}") == 0
    [folder] = record.run_folders(tmp_path / "runs")
    entry = record.read_record(folder)
    assert (
        entry["config"]["notes"] == {"why": "first look", "who": {"name": "me", "tries": [1, 2]}}
        and "notes" not in entry["consumed"]
    )
    capsys.readouterr()
    assert run() == 0 and record.run_folders(tmp_path / "runs") == [folder] and capsys.readouterr().err == ""
    assert run("+notes.why=second look") == 0
    assert (
        f"{folder.name} was finished before; its notes stay " in capsys.readouterr().err
        and record.read_record(folder) == entry
    )


def test_what_hydra_itself_leaves_open_stays_open(run: Callable[..., int]) -> None:
    assert run("+hydra.job.env_set.OWN=1", "--dry-run") == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["strategy=coral,source_svm", "strategy.classifier=logistic"],
         "one value for all is written 'strategy.classifier=choice(logistic)'"),
        (["strategy=scratch,coral", "strategy.classifier=choice(logistic)"],
         "every one of strategy=scratch,coral must have it"),
    ],
)  # fmt: skip
def test_a_key_of_several_strategies_is_refused_with_what_is_written_instead(
    words: list[str], expected: str, capsys
) -> None:
    sweep = ["run", "-m", "target=blobs", "source=blobs_shifted", "backbone=identity", "--dry-run"]
    assert main([*sweep, *words]) == 2
    assert capsys.readouterr().err.rstrip().endswith(expected)
    assert main([*sweep, "strategy=coral,source_svm", "strategy.classifier=choice(logistic)"]) == 0
