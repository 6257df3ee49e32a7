"""Whole runs: the validators' columns, what they were read of, and the flags."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from transferscope import validators
from transferscope.catalog import yamls
from transferscope.comparison import scores
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence import regret
from transferscope.data import splits
from transferscope.store.record import read_history, read_record, read_reverse_validation, run_folders
from transferscope.training import request
from transferscope.training.run import run

TINY = (
    "target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[16]", "trainer.steps=12",
    "trainer.source_steps=12", "trainer.batch_size=8", "trainer.evaluations=3", "trainer.optimizer.lr=0.01",
    "trainer.accelerator=cpu", "tracking=off",
)  # fmt: skip
# of every kind; each strategy of its own is held to what is said here in tests/strategies/test_contract.py
STRATEGIES = ["scratch", "dann", "source_only", "fine_tuning", "feature_extraction", "coral", "nearest_mean",
              "adda", "tent", "safe_choice"]  # fmt: skip


@pytest.fixture(scope="module")
def config() -> Callable[..., DictConfig]:
    """config(*overrides): each of them is composed once. A run changes nothing in it."""

    @cache
    def chosen(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
            return compose("config", overrides=[*TINY, *overrides])

    def composed(*overrides: str) -> DictConfig:
        plain = [word for word in overrides if word.split("=")[0] in ("store", "seed", "protocol")]
        given = chosen(*(word for word in overrides if word not in plain)).copy()
        for key, _, value in (word.partition("=") for word in plain):
            given[key] = int(value) if key == "seed" else value
        return given

    return composed


@pytest.fixture(scope="module")
def store(config, tmp_path_factory) -> Path:
    """Each strategy once, and three seeds of two."""
    folder = tmp_path_factory.mktemp("store")
    for choice in [(name, 0) for name in STRATEGIES] + [
        (name, seed) for name in ("scratch", "dann") for seed in (1, 2)
    ]:
        run(config(f"store={folder}", f"strategy={choice[0]}", f"seed={choice[1]}", "keep_features=true"))
    return folder


def test_every_strategy_has_them_at_every_evaluation(store):
    assert len(run_folders(store)) >= len(STRATEGIES)
    for folder in run_folders(store):
        for row in read_history(folder):
            missing = {f"validator/{name}" for name in validators.label_free()} - row.keys()
            assert not missing, (read_record(folder)["cell"]["strategy"], row["step"])


def test_every_strategy_that_is_handed_source_inputs_has_features_for_dev(store):
    for folder in run_folders(store):
        entry = read_record(folder)
        steps = [int(path.stem) for path in sorted((folder / "features").glob("*.npz"))]
        assert steps == (entry["result"]["evaluations"] if entry["result"]["samples"]["source"] else []), (
            entry["cell"]["strategy"]
        )


@pytest.mark.parametrize("rule", ["dev", "iwcv"])
def test_the_regret_of_every_rule_that_the_runs_hold_is_told(store, rule):
    comparison = compare(store)
    found = regret.regrets(list(comparison))
    assert set(found.mean) == set(scores.selections()) - {"oracle"} and 0 < found.cells < len(comparison)
    (cell,) = [cell for cell in compare(store, selection=f"{rule},last") if cell.strategy == "dann"]
    assert regret.regrets([cell]).mean[rule] == pytest.approx(cell.regret["strategy"])


@pytest.mark.parametrize("protocol", ["inductive", "transductive"])
def test_they_are_read_of_the_same_training_inputs_for_all_and_of_no_test_input(config, protocol):
    choices = [f"strategy={name}" for name in STRATEGIES]
    tasks = [
        request.resolve(config(f"protocol={protocol}", f"seed={seed}", c)).run_data()
        for seed, c in enumerate(choices)
    ]
    tasks += [
        request.resolve(config("strategy=scratch", f"label_budget={budget}")).run_data()
        for budget in (2, "full")
    ]
    watched = tasks[0].validator_inputs
    assert all(np.array_equal(run_data.validator_inputs, watched) for run_data in tasks)
    test = {row.tobytes() for row in tasks[0].evaluated["blobs/test"].inputs.numpy()}
    train, _ = splits.split(tasks[0].target, 0)
    assert len(watched) == min(len(train), splits.VALIDATOR_ITEMS) and not test & {
        row.tobytes() for row in watched.numpy()
    }
    other = request.resolve(config("strategy=scratch", "split_seed=1")).run_data().validator_inputs
    assert not np.array_equal(other, watched)


def test_a_large_target_is_cut_to_the_same_items(monkeypatch, config):
    whole = request.resolve(config("strategy=scratch")).run_data().validator_inputs
    monkeypatch.setattr(splits, "VALIDATOR_ITEMS", 7)
    splits._of_every_seed.cache_clear()
    assert np.array_equal(request.resolve(config("strategy=dann")).run_data().validator_inputs, whole[:7])


def test_they_read_no_target_label(config, monkeypatch, tmp_path, store):
    """Garbage for the training labels of the target, under a split that stays as it is: a run without target
    labels repeats bit by bit."""
    target = request.load_domain("target", "blobs", "data")
    train, test = splits.split(target, 0)
    fixed = replace(target, split=np.where(np.isin(np.arange(len(target)), test), "test", "train"))
    labels = target.labels.clone()
    labels[train] = labels[np.random.default_rng(0).permutation(train)]
    source = request.load_domain("source", "blobs_shifted", "data")
    histories = []
    for number, domain in enumerate((fixed, replace(fixed, labels=labels))):
        monkeypatch.setattr(
            request, "load_domain", lambda key, name, *_, domain=domain: domain if name == "blobs" else source
        )
        folder = run(config(f"store={tmp_path / str(number)}", "strategy=dann", "label_budget=0"))
        histories.append(
            [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in read_history(folder)]
        )
    assert histories[0] == histories[1] and "validator/snd" in histories[0][0]


@pytest.mark.parametrize("validator", validators.label_free())
def test_compare_selects_by_them_and_tells_the_regret(store, validator):
    (cell,) = [cell for cell in compare(store, selection=validator) if cell.strategy == "dann"]
    accuracy = []
    for folder in cell.evidence.strategy_runs:
        rows = [row for row in read_history(folder) if row["step"] > 0]
        # the first of equals
        accuracy.append(max(rows, key=lambda row: row[f"validator/{validator}"])["blobs/test/accuracy"])
    assert cell.strategy_score == pytest.approx(np.mean(accuracy)) and cell.seeds == 3
    assert all(abs(value) <= 1 for value in cell.regret.values())


def test_a_planted_saturated_discriminator_is_in_the_record(config, store, tmp_path):
    long = [
        "strategy=dann",
        "strategy.trade_off=0",
        "trainer.steps=300",
        "trainer.batch_size=64",
        "trainer.optimizer.lr=0.02",
    ]
    source = request.load_domain("source", "blobs_shifted", "data")
    far = replace(source, inputs=source.inputs + 20)
    with pytest.MonkeyPatch.context() as patch:
        load = request.load_domain
        patch.setattr(
            request,
            "load_domain",
            lambda key, name, *rest: far if name == source.name else load(key, name, *rest),
        )
        folder = run(config(f"store={tmp_path}", *long))
    assert read_record(folder)["result"]["flags"] == ["saturated discriminator"]
    expected = {
        read_record(f)["cell"]["strategy"]: read_record(f)["result"]["flags"] for f in run_folders(store)
    }
    assert not {name: flags for name, flags in expected.items() if "saturated discriminator" in flags}


def test_the_page_works_when_followed(config, tmp_path, capsys, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "selection.md").read_text()
    values = {}
    for trade_off in (0.1, 1.0):
        choice = ("strategy=dann", f"strategy.trade_off={trade_off}", "role=trial", "reverse_validation=true")
        values[trade_off] = read_reverse_validation(run(config(f"store={tmp_path}/runs", *choice)))
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    expected = capsys.readouterr().out
    best = max(values.values())
    assert expected.startswith(str(best)) and any(
        f"'trade_off': {name}" in expected for name, value in values.items() if value == best
    )
    assert all(
        f"`{name}`" in page for name in (*scores.selections(), "keep_features=true", "reverse_validation")
    )
