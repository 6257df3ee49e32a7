"""Small targets in folds: from the run to the verdict. What a row of folds is worth is shown by cutting whole
runs into folds."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dropped_outputs import as_schema_2
from store_fixture import write_plan, write_run
from transferscope import compare
from transferscope.cli.main import main
from transferscope.comparison.evidence import calibration_change, flips, learning, parts
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.store import record

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[8]", "label_budget=5",
    "trainer.steps=10",
         "trainer.source_steps=10", "trainer.evaluations=2", "tracking=off"]  # fmt: skip
FOLDS = 3
TEST = "handwritten/test"


def cut(store: Path, whole: Path, job: dict) -> list[dict]:
    """Write a run of `whole` as folds, each with a part of its test items, another cut for every seed. Their
    jobs."""
    entry = record.read_record(whole / job["fingerprint"])
    with np.load(whole / job["fingerprint"] / "evaluations.npz") as members:
        arrays = {name: members[name] for name in members.files}
    n = len(arrays[f"{TEST}/ids"])
    fold_of = np.random.default_rng(job["seed"]).permutation(n) % FOLDS
    jobs = []
    for fold in range(FOLDS):
        consumed = {**entry["consumed"], "fold": fold, "folds": FOLDS}
        name = record.fingerprint(consumed)
        part = {
            key: array[fold_of == fold]
            if key.startswith(f"{TEST}/") and not key.endswith("/classes")
            else array
            for key, array in arrays.items()
        }
        (store / name).mkdir(parents=True)
        np.savez(store / name / "evaluations.npz", **part)
        (store / name / "history.csv").write_bytes((whole / job["fingerprint"] / "history.csv").read_bytes())
        (store / name / "record.json").write_text(
            json.dumps({**entry, "fingerprint": name, "consumed": consumed})
        )
        words = f"{job['overrides']} fold={fold} folds={FOLDS}"
        jobs.append({**job, "fingerprint": name, "variant": {"folds": FOLDS}, "overrides": words})
    return jobs


def add_columns(folder: Path) -> None:
    with np.load(folder / "evaluations.npz") as members:
        arrays = {name: members[name] for name in members.files}
    ward = np.array(["north", "south"])[np.arange(len(arrays[f"{TEST}/ids"])) % 2]
    np.savez(folder / "evaluations.npz", **arrays, **{f"{TEST}/metadata/ward": ward})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(whole, in folds): the same answers, scratch with its twin and two strategies, one of them with a
    collapsed seed."""
    whole, folded = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("folded")
    jobs = []
    for seed in range(4):
        jobs.append(write_run(whole, "scratch", seed, 1.0))
        jobs.append(write_run(whole, "scratch", seed, 1.0, consumed={"twin": True}))
        jobs.append(write_run(whole, "fine_tuning", seed, 1.6, initialisation="source"))
        jobs.append(write_run(whole, "dann", seed, 0.2, status="collapsed" if seed == 1 else "done"))
    for folder in record.run_folders(whole):
        add_columns(folder)
    write_plan(whole, "demo", jobs)
    write_plan(folded, "demo", [part for job in jobs for part in cut(folded, whole, job)])
    return whole, folded


@pytest.mark.parametrize(("baseline", "cells"), [("scratch", 2), ("naive", 3)])
@pytest.mark.parametrize(
    "metric", ["accuracy", "macro_f1", "balanced_accuracy", "macro_precision", "auroc", "nll"]
)
def test_folds_are_judged_as_the_same_answers_in_one_piece(
    stores: tuple[Path, Path], metric: str, baseline: str, cells: int
) -> None:
    whole, folded = (compare(store, baseline=baseline, metric=metric) for store in stores)
    assert len(folded) == len(whole) == cells and not folded.missing
    for one, other in zip(whole, folded, strict=True):
        assert (other.seeds, other.items, other.family_size) == (4, 300, cells)
        assert [flag for flag in other.flags if flag not in one.flags and "plan" not in flag] == [
            "3 folds: every item is tested once a seed; a seed counts as collapsed where one of its folds did"
        ]
        plain, cut_up = one.to_dict(), other.to_dict()
        for key in (
            "delta",
            "ci",
            "ci_simultaneous",
            "p_adjusted",
            "mde",
            "strategy_score",
            "baseline_score",
            "strategy_ece",
            "baseline_ece",
        ):
            assert cut_up[key] == (
                plain[key] if plain[key] is None else pytest.approx(plain[key], rel=1e-9)
            ), key
        for key in ("verdict", "material", "collapsed", "baseline_collapsed", "variant", "reason"):
            assert cut_up[key] == plain[key], key


def test_folds_that_dropped_their_outputs_have_the_means_over_items(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    dropped = as_schema_2(stores[1], tmp_path / "runs", "none")
    for metric in ("accuracy", "nll"):
        found, expected = (compare(store, metric=metric) for store in (dropped, stores[1]))
        assert [(c.delta, c.ci_simultaneous, c.verdict) for c in found] == [
            (c.delta, c.ci_simultaneous, c.verdict) for c in expected
        ]
        assert {c.strategy_ece for c in found} == {None}
    comparison = compare(dropped, metric="macro_f1")
    assert not len(comparison) and all(
        "made of all folds together" in row["reason"] for row in comparison.missing
    )


def test_what_stands_beside_the_mean_is_the_same_too(stores: tuple[Path, Path]) -> None:
    whole, folded = (
        next(cell for cell in compare(store) if cell.strategy == "fine_tuning") for store in stores
    )
    cut_up, plain = (parts.judge_parts([cell], 0.05, PredictionReader())[0] for cell in (folded, whole))
    for found, others in (
        (cut_up.classes, plain.classes),
        (cut_up.subgroups["ward"], plain.subgroups["ward"]),
    ):
        assert [(part.name, part.n) for part in found] == [(part.name, part.n) for part in others]
        assert [part.delta for part in found] == pytest.approx([part.delta for part in others])
    flipped = [flips.count_flips(cell, 0.05, PredictionReader()) for cell in (whole, folded)]
    values = [(one.lost.value, one.lost.reference, one.won.value, one.hidden, one.twin) for one in flipped]
    assert values[0] == pytest.approx(values[1])
    change = [calibration_change.measure(cell, 0.05, PredictionReader()) for cell in (whole, folded)]
    assert [change[1].nll_change, *change[1].ci] == pytest.approx([change[0].nll_change, *change[0].ci])
    assert learning.compare_curves(folded, 0.05).seeds == 4
    assert learning.compare_curves(folded, 0.05).asymptote.delta == pytest.approx(
        learning.compare_curves(whole, 0.05).asymptote.delta
    )


def test_a_seed_without_one_of_its_folds_is_listed_and_left_out(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, _ = stores
    jobs = []
    for seed in range(4):
        for strategy, skill in (("scratch", 1.0), ("fine_tuning", 1.6)):
            initialisation = "source" if strategy == "fine_tuning" else "random"
            jobs += cut(
                tmp_path, whole, write_run(whole, strategy, seed, skill, initialisation=initialisation)
            )
    lost = next(
        job
        for job in jobs
        if job["seed"] == 2 and job["cell"]["strategy"] == "fine_tuning" and " fold=1 " in job["overrides"]
    )
    for file in (tmp_path / lost["fingerprint"]).iterdir():
        file.unlink()
    (tmp_path / lost["fingerprint"]).rmdir()
    without_plan = compare(tmp_path)
    write_plan(tmp_path, "demo", jobs)
    for comparison in (without_plan, compare(tmp_path)):
        (cell,) = comparison
        assert cell.evidence.seeds == [0, 1, 3] and cell.items == 300
        rows = [row for row in comparison.missing if row.get("status") == "incomplete"]
        assert [(row["strategy"], row["seed"]) for row in rows] == [("fine_tuning", 2)]
        assert rows[0]["reason"] == "fold 1 of 3 (from 0) has no result: the seed is left out"
        assert rows[0]["reason"] in " ".join(comparison.to_table(200).split())
    assert any("interim: planned seed 2 without a result" in flag for flag in cell.flags)


def test_folds_and_one_split_are_not_mixed(stores: tuple[Path, Path], tmp_path: Path) -> None:
    whole, _ = stores
    for seed in range(2):
        for strategy, skill in (("scratch", 1.0), ("fine_tuning", 1.6)):
            initialisation = "source" if strategy == "fine_tuning" else "random"
            job = write_run(tmp_path, strategy, seed, skill, initialisation=initialisation)
            cut(tmp_path, whole, write_run(whole, strategy, seed, skill, initialisation=initialisation))
            assert job["seed"] == seed
    cells = list(compare(tmp_path))
    assert sorted(cell.variant for cell in cells) == ["", "folds=3"]
    assert [len(cell.evidence.baseline_runs) for cell in sorted(cells, key=lambda cell: cell.variant)] == [
        2,
        6,
    ]


def test_several_split_seeds_stay_apart_and_are_warned_of(tmp_path: Path) -> None:
    for split_seed in range(2):
        for seed in range(3):
            write_run(tmp_path, "scratch", seed, 1.0, split_seed=split_seed)
            write_run(tmp_path, "fine_tuning", seed, 1.6, initialisation="source", split_seed=split_seed)
    comparison = compare(tmp_path)
    assert sorted((cell.variant, cell.seeds) for cell in comparison) == [
        ("split_seed=0", 3),
        ("split_seed=1", 3),
    ]
    [warning] = [warning for warning in comparison.warnings if "split_seed" in warning]
    assert "(0, 1)" in warning and "fold=range(0,5)" in warning


# --- runs


def test_a_sweep_of_folds_is_one_cell_on_all_items(tmp_path: Path) -> None:
    store = tmp_path / "runs"
    grid = [
        "strategy=scratch,fine_tuning",
        "fold=range(0,2)",
        "folds=2",
        "seed=0,1",
        "sweep=mine",
        f"store={store}",
    ]
    assert main(["run", "-m", *SMALL, *grid]) == 0
    assert len(record.run_folders(store)) == 8
    (cell,) = comparison = compare(store)
    assert (cell.seeds, cell.family_size, cell.conditional_on) == (2, 1, ["target_pool", "hyper_parameters"])
    tested = []
    for folder in cell.evidence.strategy_runs:
        with np.load(folder / "evaluations.npz") as members:
            tested.append(members["blobs/test/ids"].tolist())
    assert (
        cell.items
        == len(set(tested[0] + tested[1]))
        == len(tested[0]) + len(tested[1])
        == len(tested[2]) + len(tested[3])
    )
    assert set(tested[0]) != set(tested[2])  # every seed cuts anew
    assert not comparison.missing


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fold=5"], "fold=5: 0 to 4 or null is needed, as there are 5 folds"),
        (["fold=true"], "fold=True: 0 to 4 or null is needed"),
        (["folds=10"], r"folds=10: says nothing without fold; give fold=range\(0,10\)"),
        (["fold=0", "folds=1"], "folds=1: an integer of at least 2"),
        (
            ["-m", "fold=0,1", "strategy=scratch,fine_tuning", "--until-decided"],
            "fold: --until-decided takes one run a seed",
        ),
    ],
)
def test_refused(words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    small = [
        word for word in SMALL if word.partition("=")[0] not in {other.partition("=")[0] for other in words}
    ]
    assert main(["run", *small, *words, f"store={tmp_path / 'runs'}"]) == 2
    assert re.search(expected, capsys.readouterr().err)
