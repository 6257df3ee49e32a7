"""`run -m ... --search` as a user meets it: equal budgets, what is selected, resuming, the yaml, the report,
wrong requests."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from transferscope import compare
from transferscope.cli.main import main
from transferscope.report import page
from transferscope.store import record
from transferscope.sweeps import studies, tuned
from transferscope.sweeps.studies import Study, distribution

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[16]", "label_budget=20",
    "trainer.steps=6",
         "trainer.source_steps=2", "trainer.evaluations=2", "tracking=off"]  # fmt: skip
SEARCH = ["-m", *SMALL, "--search", "search.trials=3", "search.runs=2"]
LR = "trainer.optimizer.lr=tag(log, interval(1e-4, 1e-1))"
GRID = ["strategy=scratch,fine_tuning,dann", LR, "strategy.trade_off=interval(0, 1)", "sweep=mine"]


def run(*arguments: str, store: Path) -> int:
    return main(["run", *SEARCH, f"store={store}", *arguments])


def search_of(store: Path, name: str = "mine") -> dict:
    return record.read_json(record.plan_path(store, name), "sweep plan")["search"]


def studies_of(store: Path, name: str = "mine") -> dict[str, dict]:
    return {study["cell"]["strategy"]: study for study in search_of(store, name)["studies"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that went its way undisturbed. Tests that write take a copy."""
    store = tmp_path_factory.mktemp("finished") / "runs"
    assert run(*GRID, store=store) == 0
    return store


# --- what is tried and selected


def test_every_strategy_has_the_same_number_of_trials_on_seeds_of_their_own(finished: Path) -> None:
    for study in studies_of(finished).values():
        trials = [record.read_record(finished / name) for trial in study["trials"] for name in trial["runs"]]
        assert [(entry["role"], entry["seed"]) for entry in trials] == [("trial", 1000)] * 3
        winners = [record.read_record(finished / name) for name in study["winners"]]
        assert [(entry["role"], entry["seed"]) for entry in winners] == [("run", 0), ("run", 1)]
        chosen = study["trials"][study["selected"]]["values"]
        assert {entry["consumed"]["trainer"]["optimizer"]["lr"] for entry in winners} == {
            float(chosen["trainer.optimizer.lr"])
        }


def test_a_key_is_searched_where_a_strategy_has_it_and_one_space_offers_the_same_values(
    finished: Path,
) -> None:
    found = studies_of(finished)
    offered = {name: [trial["values"] for trial in study["trials"]] for name, study in found.items()}
    assert offered["scratch"] == offered["fine_tuning"]
    assert all(values.keys() == {"trainer.optimizer.lr", "strategy.trade_off"} for values in offered["dann"])
    rates = [float(values["trainer.optimizer.lr"]) for values in offered["scratch"]]
    assert len(set(rates)) == 3 and all(1e-4 <= rate <= 1e-1 for rate in rates)


def test_the_best_on_labels_set_aside_is_selected_the_earliest_of_equals(finished: Path) -> None:
    for study in studies_of(finished).values():
        scores = []
        for trial in study["trials"]:
            with np.load(finished / trial["runs"][0] / "evaluations.npz") as members:
                probabilities, labels = members["blobs/val/outputs/000006"], members["blobs/val/targets"]
            scores.append(float((probabilities.argmax(1) == labels).mean()))
        assert [trial["score"] for trial in study["trials"]] == pytest.approx(scores)
        assert study["selected"] == int(np.argmax(scores))


def test_several_seeds_of_a_trial_are_averaged_and_a_validator_needs_no_label(tmp_path: Path) -> None:
    more = [
        "strategy=scratch,source_only",
        LR,
        "search.selection=mutual_information",
        "search.seeds=2",
        "search.trials=1",
        "search.runs=1",
        "sweep=mine",
    ]
    assert run(*more, store=tmp_path) == 0
    for study in studies_of(tmp_path).values():
        for trial in study["trials"]:
            last = [
                record.read_history(tmp_path / name)[-1]["validator/mutual_information"]
                for name in trial["runs"]
            ]
            assert trial["score"] == pytest.approx(np.mean(last))
            assert [record.read_record(tmp_path / name)["seed"] for name in trial["runs"]] == [1000, 1001]


@pytest.mark.parametrize(
    ("word", "inside"),
    [
        ("x=tag(log, interval(1e-4, 1e-1))", lambda values: min(values) < 1e-3 and max(values) > 1e-2),
        ("x=interval(2, 3)", lambda values: all(2 <= value <= 3 for value in values)),
        (
            "x=tag(int, log, interval(1, 64))",
            lambda values: all(value == int(value) for value in values) and max(values) > 16,
        ),
        ("x=int(interval(1, 4))", lambda values: set(values) == {1, 2, 3, 4}),
        ("x=choice(16, 32)", lambda values: set(values) == {16, 32}),
        ("x=range(1, 4)", lambda values: set(values) == {1, 2, 3}),
    ],
)
def test_a_space_is_written_in_the_words_of_hydra(word: str, inside) -> None:
    [override] = OverridesParser.create().parse_overrides([word])
    study = Study(None, [], {"x": (word, distribution(override))}, "random")
    values = [float(trial.values["x"]) for trial in study.ask(60)]
    assert len(values) == 60 and inside(values)


def test_tpe_learns_and_repeats_itself() -> None:
    [override] = OverridesParser.create().parse_overrides(["x=interval(0, 1)"])

    def values(goal: float) -> list[float]:
        study, tried = Study(None, [], {"x": ("interval(0, 1)", distribution(override))}, "tpe"), []
        while trials := study.ask(40 - len(tried)):
            for trial in trials:
                tried.append(float(trial.values["x"]))
                # a trial without a score stops nothing
                study.tell(trial, None if len(tried) == 3 else -abs(tried[-1] - goal))
        return tried

    assert values(0.9) == values(0.9)
    assert np.mean(values(0.9)[20:]) > np.mean(values(0.1)[20:]) + 0.3


# --- interruption and failure


def test_the_plan_is_on_disk_before_the_first_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transferscope.sweeps.search import Sweeper

    seen = []

    def train(self, store: Path, *_: object) -> tuple:
        seen.append(record.read_json(record.plan_path(store, "mine"), "sweep plan"))
        raise KeyboardInterrupt

    monkeypatch.setattr(Sweeper, "train", train)
    assert run(*GRID, store=tmp_path) == 130
    [plan] = seen
    assert [len(study["trials"]) for study in plan["search"]["studies"]] == [3, 3, 3] and len(
        plan["jobs"]
    ) == 9
    assert record.run_folders(tmp_path) == []


def test_killed_it_goes_on_to_the_same_choice(finished: Path, copied: Path) -> None:
    lost = [study["trials"][1]["runs"][0] for study in studies_of(copied).values()] + studies_of(copied)[
        "dann"
    ]["winners"]
    for name in lost:
        shutil.rmtree(copied / name)
    kept = {folder.name: (folder / "record.json").stat().st_mtime_ns for folder in record.run_folders(copied)}
    record.plan_path(copied, "mine").unlink()
    assert run(*GRID, store=copied) == 0
    assert search_of(copied) == search_of(finished)
    again = {
        folder.name: (folder / "record.json").stat().st_mtime_ns for folder in record.run_folders(copied)
    }
    assert again.keys() - kept.keys() == set(lost) and all(again[name] == kept[name] for name in kept)


def test_trials_that_wait_for_others_are_proposed_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(studies, "TOGETHER", 1)
    more = [
        "strategy=scratch,target_ssl",
        LR,
        "search.sampler=tpe",
        "search.trials=2",
        "search.runs=1",
        "trainer.steps=1",
        "sweep=mine",
    ]
    assert run(*more, store=tmp_path) == 0
    expected = capsys.readouterr()
    # the first of each strategy, then the second, then the winners
    assert expected.err.count("sweep mine: 2 runs, 0 done") == 3
    before = search_of(tmp_path)
    assert run(*more, "hydra.launcher.n_jobs=1", store=tmp_path) == 0
    assert search_of(tmp_path) == before
    assert capsys.readouterr().out == expected.out


def test_it_waits_for_a_failed_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "own_brittle.py").write_text(
        "import os\n"
        "from transferscope.strategies.target_only import TargetOnly\n"
        "class Brittle(TargetOnly):\n"
        "    def losses(self, batch):\n"
        "        if os.environ.get('BROKEN'):\n"
        "            raise ArithmeticError('planted')\n"
        "        return super().losses(batch)\n"
    )
    choices = tmp_path / "conf" / "strategy"
    choices.mkdir(parents=True)
    (choices / "brittle.yaml").write_text(
        "_target_: own_brittle.Brittle\nname: brittle\nstarts_from: random\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BROKEN", "1")
    grid = [
        "strategy=scratch,brittle",
        LR,
        "search.trials=1",
        "search.runs=1",
        "sweep=mine",
        f"--config-dir={tmp_path / 'conf'}",
    ]
    store = tmp_path / "runs"
    assert run(*grid, store=store) == 1
    assert "the search waits" in capsys.readouterr().err
    assert studies_of(store)["brittle"]["selected"] is None
    monkeypatch.delenv("BROKEN")
    assert run(*grid, store=store) == 0
    assert studies_of(store)["brittle"]["selected"] == 0


# --- what comes of it


def test_the_yaml_composes_the_selected_run(copied: Path, capsys: pytest.CaptureFixture) -> None:
    folder = copied / "sweeps" / "mine" / "tuned"
    assert sorted(path.stem for path in (folder / "experiment").iterdir()) == [
        "dann-blobs_shifted-blobs-20", "fine_tuning-blobs_shifted-blobs-20", "scratch-blobs-20",
    ]  # fmt: skip
    study, before = studies_of(copied)["dann"], len(record.run_folders(copied))
    values = study["trials"][study["selected"]]["values"]
    text = (folder / "experiment" / "dann-blobs_shifted-blobs-20.yaml").read_text()
    expected = (
        "search mine of 2",
        "random",
        "1 seed a trial, from 1000 on",
        "target_val",
        f"trial {study['selected'] + 1} of 3",
        "interval(0, 1)",
    )
    assert all(part in text for part in expected), text
    capsys.readouterr()
    given = [
        "experiment=dann-blobs_shifted-blobs-20",
        "seed=1",
        f"store={copied}",
        "tracking=off",
        f"--config-dir={folder}",
    ]
    assert main(["run", *given]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(copied / study["winners"][1])
    assert len(record.run_folders(copied)) == before
    assert f"trade_off: {values['strategy.trade_off']}\n" in text


def test_cells_that_differ_in_more_have_files_of_their_own() -> None:
    cell = {"strategy": "dann", "source": "a+b", "target": "c", "label_budget": None}
    one, other = (
        SimpleNamespace(cell=cell, point=["strategy=dann", "target=c", f"backbone={name}"])
        for name in ("mlp", "lenet")
    )
    assert tuned.names([one]) == ["dann-a+b-c"]
    assert tuned.names([one, other]) == ["dann-a+b-c-mlp", "dann-a+b-c-lenet"]


def test_freezing_depth_and_schedule_are_searched_like_any_key(tmp_path: Path) -> None:
    depths = ["strategy=scratch,last_groups", "strategy.groups=choice(0,1,2)", "backbone.hidden=[16,8]",
        "trainer.schedule=choice(cosine,constant)", "search.trials=2", "search.runs=1",
        "sweep=depth"]  # fmt: skip
    assert run(*depths, store=tmp_path) == 0
    found = studies_of(tmp_path, "depth")
    assert found["scratch"]["space"].keys() == {"trainer.schedule"}
    trials = found["last_groups"]["trials"]
    assert all(trial["values"]["strategy.groups"] in ("0", "1", "2") for trial in trials)
    for trial in trials:
        consumed = record.read_record(tmp_path / trial["runs"][0])["consumed"]
        assert consumed["strategy"]["groups"] == int(trial["values"]["strategy.groups"])
        assert consumed["trainer"]["schedule"] == trial["values"]["trainer.schedule"]


def test_an_arm_that_was_searched_beside_one_that_was_not_is_pointed_out(copied: Path) -> None:
    assert "searched" not in " ".join(flag for cell in compare(copied) for flag in cell.flags)
    plan = record.read_json(path := record.plan_path(copied, "mine"), "sweep plan")
    plan["jobs"] = [job for job in plan["jobs"] if job["cell"]["strategy"] == "dann"]
    path.write_text(json.dumps(plan))
    found = compare(copied)
    flags = {cell.strategy: " ".join(cell.flags) for cell in found}
    assert "searched: the strategy's values; not the baseline's" in flags["dann"]
    assert "searched" not in flags["fine_tuning"]
    assert "blobs: searched dann; not searched fine_tuning" in " ".join(found.warnings)


def test_compare_holds_the_tuned_against_the_tuned(copied: Path) -> None:
    ordinary = ["-m", *SMALL, "strategy=scratch,fine_tuning", "seed=0,1", f"store={copied}", "sweep=plain"]
    assert main(["run", *ordinary]) == 0
    found = studies_of(copied)
    held = {cell.strategy: cell.evidence for cell in compare(copied / "sweeps" / "mine")}
    assert held.keys() == {"fine_tuning", "dann"}
    for strategy, evidence in held.items():
        assert [folder.name for folder in evidence.strategy_runs] == found[strategy]["winners"]
        assert [folder.name for folder in evidence.baseline_runs] == found["scratch"]["winners"]
    [plain] = compare(copied / "sweeps" / "plain")
    assert not {folder.name for folder in plain.evidence.baseline_runs} & set(found["scratch"]["winners"])


def test_the_report_shows_what_tuning_was_worth(finished: Path, copied: Path) -> None:
    html = page.render(compare(finished))
    section = html[html.index('<section id="search"') :].partition("</section>")[0]
    assert section.count('class="curve tuned"') == 3 and section.count('class="curve baseline"') == 2
    scores = [trial["score"] for trial in studies_of(finished)["dann"]["trials"]]
    assert f'<td class="r">{np.mean(scores):.3f}</td>' in section  # the best of one
    assert (
        "accuracy on the part of the label budget that is set aside" in section
        and "expected best of so many trials" in section
    )
    record.plan_path(copied, "mine").unlink()
    assert '<section id="search"' not in page.render(compare(copied))


def test_a_dry_run_tells_the_space_and_the_cost(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(*GRID, "--dry-run", store=tmp_path / "none") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "search mine: 3 strategies, 3 trials of 1 seed each (random) by target_val, then 2 runs each"
    )
    assert lines[1] == f"scratch  blobs  20 labels: {LR}"
    assert lines[-1] == "at most 15 runs and 5 source trainings; 0 runs done"
    assert not (tmp_path / "none").exists()
    assert run(*GRID, "--dry-run", store=finished) == 0
    assert "15 runs done" in capsys.readouterr().out


# --- wrong requests


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([LR, "search.trials=0"], ["search.trials=0", "from 1 to 1000"]),
        ([LR, "search.runs=2.5"], ["search.runs=2.5", "an integer"]),
        ([LR, "search.trial=5"], ["search.trial", "did you mean 'trials'"]),
        ([LR, "search.trials=5,10"], ["search.trials=5,10", "several values"]),
        ([LR, "search.sampler=tpee"], ["search.sampler=tpee", "did you mean 'tpe'"]),
        ([LR, "search.selection=oracle"], ["search.selection=oracle", "target_val, source_val"]),
        ([LR, "search.selection=source_val"],
         ["search.selection=source_val", "scratch", "sees no source", "mutual_information"]),
        ([LR, "label_budget=2"],
         ["search.selection=target_val", "below 5 labels a class", "mutual_information"]),
        ([LR, "strategy=scratch,source_only"],
         ["search.selection=target_val", "source_only", "sees no target label"]),
        ([LR, "search.baseline=target_ssl"], ["search.baseline=target_ssl", ("the grid holds none for "
            "fine_tuning")]),
        ([LR, "search.baseline=scrach"], ["search.baseline=scrach", "did you mean 'scratch'"]),
        ([], ["--search: no key to search", "interval"]),
        ([LR, "strategy.trade_of=interval(0,1)"], ["strategy.trade_of=interval(0,1)", ("no strategy of the "
            "grid has the key")]),
        ([LR, "seed=0"], ["seed=0", "leave it out"]),
        ([LR, "split_seed=0,1"], ["split_seed=0,1", "several values"]),
        ([LR, "label_budget=interval(5,20)"], ["label_budget=interval(5,20)", "single values"]),
        (["trainer.optimizer.lr=tag(log, interval(0, 1))"], ["interval(0, 1)", "above 0"]),
        (["trainer.optimizer.lr=tag(lgo, interval(1, 2))"], ["tag lgo", "log, int"]),
        ([LR, "trainer.schedule=cosine,cosin"], ["trainer.schedule=cosin", "constant"]),
        ([LR, "--until-decided"], ["--until-decided", "one of them"]),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_in_one_line(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    strategies = (
        [] if any(word.startswith("strategy=") for word in arguments) else ["strategy=scratch,fine_tuning"]
    )
    small = [
        word
        for word in SEARCH
        if word.partition("=")[0] not in {word.partition("=")[0] for word in arguments}
    ]
    assert main(["run", *small, *strategies, *arguments, f"store={tmp_path / 'runs'}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert all(part in err for part in parts), err
    assert not (tmp_path / "runs").exists()


def test_without_optuna_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run(*GRID, store=tmp_path / "runs") == 2
    assert "pip install 'transferscope[search]'" in capsys.readouterr().err


def test_the_keys_need_the_flag_and_the_flag_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["run", *SMALL, "strategy=scratch", "--search", f"store={tmp_path / 'runs'}"]) == 2
    assert "--search" in capsys.readouterr().err
    assert main(["run", "-m", "target=blobs", "search.trials=5"]) == 2
    assert "only --search reads it" in capsys.readouterr().err


def test_what_was_planned_is_kept_to(copied: Path, capsys: pytest.CaptureFixture) -> None:
    before = search_of(copied)
    for arguments, expected in (
        (["search.trials=4"], "sweep=mine: planned with trials 3"),
        (["trainer.steps=13"], "sweep=mine: planned with other strategies"),
    ):
        assert run(*GRID, *arguments, store=copied) == 2
        assert expected in capsys.readouterr().err
    assert search_of(copied) == before
