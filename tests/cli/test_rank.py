"""`transferscope rank` as a user meets it."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from transferscope import distances
from transferscope.catalog import registry
from transferscope.cli import rank as verb
from transferscope.cli.main import COMMANDS, main
from transferscope.comparison.compare import compare
from transferscope.store import record
from transferscope.training import source_ranking
from transferscope.training.request import plain

SMALL = [
    "target=blobs",
    "backbone=mlp",
    "trainer.source_steps=40",
    "trainer.steps=20",
    "trainer.evaluations=1",
]
DISTANCES = {"mmd", "coral", "frechet", "sliced_wasserstein", "proxy_a_distance"}
SCORES = {"logme", "leep", "nce", "h_score", "transrate", "gbc"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    """A user's domains of two features and two classes: `near` and `far` differ from `here` by a shift.
    Beside it, in `poisoned`, the same domains with another test part of `here`."""

    def write(
        folder: Path, name: str, shift: float, seed: int, test_seed: int = 0, test_scale: float = 1.0
    ) -> None:
        draws, test = np.random.default_rng(seed), np.random.default_rng(test_seed)
        labels = np.arange(90) % 2
        inputs = draws.normal(size=(90, 2)) + 2 * labels[:, None] + shift
        is_test = np.arange(90) >= 60
        inputs[is_test] = test_scale * test.normal(size=(30, 2))
        labels[is_test] = test.permutation(labels[is_test])
        np.savez(
            folder / f"{name}.npz",
            inputs=inputs.astype("float32"),
            labels=labels,
            split=np.where(is_test, "test", "train"),
        )
        (folder / f"{name}.yaml").write_text(
            f"# {name}\n_target_: transferscope.data.arrays.load\npath: {folder}/{name}.npz\ninputs: "
            "inputs\nlabels: labels\nsplit: split\n"
        )

    for name, poison in (("conf", {}), ("poisoned", {"test_seed": 9, "test_scale": 1e6})):
        folder = tmp_path / name / "domain"
        folder.mkdir(parents=True)
        write(folder, "here", 0.0, seed=0, **poison)
        write(folder, "near", 0.3, seed=1)
        write(folder, "far", 4.0, seed=2)
    return tmp_path / "conf"


def predicted(*arguments: str, store: Path, capsys: pytest.CaptureFixture) -> dict:
    capsys.readouterr()
    assert verb.main([*SMALL, *arguments, f"store={store}", "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_number_of_every_source_is_there(store: Path, capsys: pytest.CaptureFixture) -> None:
    found = predicted("source=blobs_shifted", store=store, capsys=capsys)
    [row] = found["sources"]
    assert found["target"] == "blobs" and found["label_budget"] == 10 and row["source"] == "blobs_shifted"
    assert row["inputs"].keys() == row["features"].keys() == DISTANCES and row["scores"].keys() == SCORES
    assert all(isinstance(value, float) for value in row["scores"].values())
    interval = row["features"]["proxy_a_distance"]
    assert interval["lo"] <= interval["estimate"] <= interval["hi"]
    assert found["items"]["target_labelled"] == 8 * 3  # three classes of 10, less the fifth set aside
    assert row["labels"] == {} and "label_budget=full" in row["reasons"]["labels"]
    assert "rank sources" in found["reading"]


def test_the_nearer_source_comes_first_in_every_distance(
    choices: Path, store: Path, capsys: pytest.CaptureFixture
) -> None:
    found = predicted(
        "target=here", "source=far,near", "--config-dir", str(choices), store=store, capsys=capsys
    )
    far, near = found["sources"]
    assert (far["source"], near["source"]) == ("far", "near")
    for name in ("mmd", "frechet", "sliced_wasserstein"):
        assert near["inputs"][name] < far["inputs"][name]
    assert near["inputs"]["proxy_a_distance"]["hi"] < far["inputs"]["proxy_a_distance"]["lo"]
    assert near["scores"]["leep"] > far["scores"]["leep"]


def test_nothing_of_the_test_part_is_read(choices: Path, store: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [
        predicted(
            "target=here",
            "source=near",
            "label_budget=full",
            "--config-dir",
            str(folder),
            store=store,
            capsys=capsys,
        )["sources"][0]
        for folder in (choices, choices.parent / "poisoned")
    ]
    for row in rows:
        del row["source_seconds"]
    assert rows[0] == rows[1]


def test_a_sources_model_is_trained_once_and_shared_with_runs(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    first = predicted("source=blobs_shifted", store=store, capsys=capsys)
    again = predicted("source=blobs_shifted", store=store, capsys=capsys)
    assert first["sources"][0].pop("source_seconds") > 0 and again["sources"][0].pop("source_seconds") == 0
    assert first == again
    assert record.run_folders(store) == []  # a prediction is no run
    run = [*SMALL, "source=blobs_shifted", "strategy=fine_tuning", "tracking=off", f"store={store}"]
    assert main(["run", *run]) == 0
    [folder] = record.run_folders(store)
    assert record.read_record(folder)["timings"]["source_seconds"] == 0


def test_what_the_store_has_is_not_computed_again(
    store: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = predicted("source=blobs_shifted", store=store, capsys=capsys)
    left = {path: path.stat().st_mtime_ns for path in store.glob("predictions/*")}
    assert sorted(record.read_json(path, "prediction")["kind"] for path in left) == ["distances", "scores"]

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(source_ranking, "measured", refuse)
    again = predicted("source=blobs_shifted", store=store, capsys=capsys)
    assert again["sources"][0] == {**first["sources"][0], "source_seconds": 0}
    assert {path: path.stat().st_mtime_ns for path in store.glob("predictions/*")} == left
    for other in ("seed=1", "backbone.hidden=[8]", "trainer.source_steps=41"):
        with pytest.raises(AssertionError, match="computed again"):
            predicted("source=blobs_shifted", other, store=store, capsys=capsys)


def test_another_budget_needs_other_scores_and_the_same_distances(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    ten = predicted("source=blobs_shifted", store=store, capsys=capsys)["sources"][0]
    five = predicted("source=blobs_shifted", "label_budget=5", store=store, capsys=capsys)["sources"][0]
    assert ten["features"] == five["features"] and ten["scores"] != five["scores"]
    assert sorted(one["kind"] for one in record.read_predictions(store)) == ["distances", "scores", "scores"]


def test_a_changed_function_does_not_find_its_old_values(
    store: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for value in (1.0, 2.0):
        (tmp_path / f"own{value:.0f}.py").write_text(f"def own(source, target):\n    return {value}\n")
        own = importlib.import_module(f"own{value:.0f}").own
        monkeypatch.setattr(distances, "available", lambda own=own: {"own": own})
        assert predicted("source=blobs_shifted", store=store, capsys=capsys)["sources"][0]["inputs"] == {
            "own": value
        }


def test_changed_data_do_not_find_their_old_values(
    choices: Path, store: Path, capsys: pytest.CaptureFixture
) -> None:
    for folder in (choices, choices.parent / "poisoned"):
        predicted("target=here", "source=near", "--config-dir", str(folder), store=store, capsys=capsys)
    assert len({one["consumed"]["target"]["digest"] for one in record.read_predictions(store)}) == 2


def test_pairs_are_those_of_the_stores_runs(
    choices: Path, store: Path, capsys: pytest.CaptureFixture
) -> None:
    """From the runs to the ranking: every source and target, each at its budgets, on one footing, and nothing
    twice."""
    quick = [
        "trainer.source_steps=2",
        "trainer.steps=2",
        "trainer.evaluations=1",
        "backbone=mlp",
        "tracking=off",
        "strategy=scratch,fine_tuning",
        "label_budget=2,5",
        f"store={store}",
        f"--config-dir={choices}",
    ]
    for source, target, seeds in (("near", "here", "1,2"), ("far", "here", "1"), ("near", "far", "1")):
        assert main(["run", "-m", f"source={source}", f"target={target}", f"seed={seeds}", *quick]) == 0
    pairs = ["--pairs", f"store={store}", "--config-dir", str(choices), "--format", "json"]
    expected = []
    for _ in range(2):
        capsys.readouterr()
        assert verb.main(pairs) == 0
        expected.append(json.loads(capsys.readouterr().out))
    assert [(one["target"], one["label_budget"],
        [row["source"] for row in one["sources"]]) for one in expected[0]] == [
        ("far", 2, ["near"]), ("far", 5, ["near"]), ("here", 2, ["far", "near"]),
        ("here", 5, ["far", "near"]),
    ]  # fmt: skip
    assert (
        expected[0] == expected[1]
        and {one["seed"] for one in expected[0]} == {1}
        and len({one["items"]["source"] for one in expected[0]}) == 1
    )
    # the runs had trained the models
    assert all(row["source_seconds"] == 0 for one in expected[0] for row in one["sources"])
    assert sorted(one["kind"] for one in record.read_predictions(store)) == ["distances"] * 3 + ["scores"] * 6
    for one in compare(store).rankings:
        assert len(one.points) == 3 and all(
            point.values.keys() >= {"features/mmd", "scores/logme"} for point in one.points
        )
        assert one.conclusion.startswith("Too few to claim anything: 3 pairs of 3 domains")


@pytest.mark.parametrize("name", registry.choices("backbone"))
def test_runs_of_every_backbone_can_be_paired(name: str, tmp_path: Path) -> None:
    model = ["backbone.model=a_folder"] if name == "transformer" else []  # which has none of its own
    words = ["target=blobs", "source=blobs_shifted", f"backbone={name}", *model]
    with verb.composed([words], None) as [config]:
        source_ranking._check_data(tmp_path, {"config": plain(config), "fingerprint": name})


def test_pairs_of_a_store_without_runs_are_refused(
    store: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "rank", "")
    for words, part in (
        ([f"store={store}"], "holds no run that has a source"),
        ([f"store={store}", "seed=1"], "seed=1: with --pairs"),
    ):
        assert main(["rank", "--pairs", *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and part in error


def test_sources_count_with_equally_many_items(store: Path, capsys: pytest.CaptureFixture) -> None:
    found = predicted("target=handwritten_digits",
        "source=printed_digits,[printed_digits,handwritten_digits_rotated]", "backbone=small_cnn",
                      "trainer.source_steps=2", store=store, capsys=capsys)  # fmt: skip
    alone, both = found["sources"]
    assert both["source"] == "printed_digits+handwritten_digits_rotated"
    assert found["items"]["source"] == alone["training_items"] < both["training_items"]


def test_labels_are_compared_where_the_budget_shows_their_shares(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    found = predicted("target=handwritten_digits", "source=printed_digits,printed_letters",
        "backbone=small_cnn",
                      "trainer.source_steps=2", "label_budget=full", store=store, capsys=capsys)  # fmt: skip
    digits, letters = found["sources"]
    assert digits["classes_shared"] == "10 of 10" and digits["labels"]["label_total_variation"] < 0.1
    assert letters["classes_shared"] == "0 of 10" and letters["labels"]["label_total_variation"] == 1
    assert letters["labels"]["label_kl"] is None and letters["reasons"]["labels/label_kl"] == "infinite"


def test_without_labels_there_are_distances_and_no_scores(store: Path, capsys: pytest.CaptureFixture) -> None:
    found = predicted("source=blobs_shifted", "label_budget=0", store=store, capsys=capsys)
    assert found["items"]["target_labelled"] == 0
    assert found["sources"][0]["scores"] == {} and found["sources"][0]["features"].keys() == DISTANCES


def test_a_target_tested_on_as_a_whole_shows_its_inputs_and_no_label(
    choices: Path, store: Path, capsys: pytest.CaptureFixture
) -> None:
    """By itself and from a transductive run; with its labels permuted it is the same prediction."""
    rows = []
    for name, permuted in (("all_here", False), ("permuted_here", True)):
        with np.load(choices / "domain" / "here.npz") as here:
            labels = np.random.default_rng(0).permutation(here["labels"]) if permuted else here["labels"]
            np.savez(choices / "domain" / f"{name}.npz", inputs=here["inputs"], labels=labels)
        (choices / "domain" / f"{name}.yaml").write_text(
            "# Tested on as a whole\n_target_: transferscope.data.arrays.load\npath: "
            f"{choices}/domain/{name}.npz\ninputs: inputs\n"
            "labels: labels\nwhole: true\n"
        )
        found = predicted(
            f"target={name}", "source=near", "--config-dir", str(choices), store=store, capsys=capsys
        )
        rows += [{**found["sources"][0], "source_seconds": 0}]
        assert found["label_budget"] == 0 and found["items"] == {
            "source": 54,
            "target": 90,
            "target_labelled": 0,
        }
    [row, other] = rows
    assert (
        row["features"].keys() == DISTANCES
        and row["scores"] == {}
        and "for testing" in row["reasons"].pop("scores")
    )
    assert other["reasons"].pop("scores") and row == other

    cell = [
        "target=all_here",
        "source=near",
        "protocol=transductive",
        "label_budget=0",
        "tracking=off",
        f"store={store}",
    ]
    for strategy in ("dann", "source_only"):
        assert (
            main(["run", *SMALL, *cell, f"strategy={strategy}", f"hydra.searchpath=[file://{choices}]"]) == 0
        )
    capsys.readouterr()
    assert verb.main(["--pairs", f"store={store}", "--config-dir", str(choices), "--format", "json"]) == 0
    [pair] = json.loads(capsys.readouterr().out)
    assert pair["sources"][0]["features"] == row["features"] and pair["sources"][0]["source_seconds"] == 0
    [ranking] = compare(store, baseline="source_only", protocol="both").rankings
    assert ranking.points[0].values.keys() >= {"inputs/mmd", "features/mmd"}


def test_a_source_model_that_does_not_train_leaves_the_rest(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    found = predicted("source=blobs_shifted", "trainer.optimizer.lr=1e30", store=store, capsys=capsys)
    [row] = found["sources"]
    assert row["inputs"].keys() == DISTANCES and row["features"] == row["scores"] == {}
    assert "did not train" in row["reasons"]["features and scores"]


def test_one_label_a_class_gives_a_reason_for_what_is_missing(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    [row] = predicted("source=blobs_shifted", "label_budget=1", store=store, capsys=capsys)["sources"]
    assert row["scores"]["gbc"] is None and "at least 2 a class" in row["reasons"]["scores/gbc"]
    assert isinstance(row["scores"]["logme"], float)


def test_the_table_fits_and_marks_the_first(
    choices: Path, store: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert (
        verb.main([*SMALL, "target=here", "source=far,near", f"store={store}", "--config-dir", str(choices)])
        == 0
    )
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "2 trained now" in text and "rank sources for one target" in text
    marked = [line for line in text.splitlines() if line.startswith("near") and line.count("*") >= 4]
    assert len(marked) >= 2  # the distances of inputs and of features


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["source=blobs_shift"], ["source=blobs_shift", "did you mean 'blobs_shifted'"]),
        ([], ["source: a domain is needed"]),
        (["source=null"], ["source: a domain is needed"]),
        (["source=blobs_shifted", "strategy=dann"], ["strategy=dann", "transferscope run"]),
        (["source=blobs_shifted", "seed=0,1"], ["seed=0,1", "only source"]),
        (["source=blobs_shifted", "sead=1"], ["sead", "did you mean 'seed'"]),
        (["source=blobs_shifted", "label_budget=-1"], ["label_budget=-1", "at least 0"]),
        (["source=blobs_shifted", "backbone=small_cnn"], ["backbone=small_cnn", "takes images"]),
        (["source=handwritten_digits"], ["source=handwritten_digits", "beside a target"]),
        (["source=blobs_shifted", "--format", "jsn"], ["--format jsn", "did you mean 'json'"]),
        (["source=blobs_shifted", "--config-dir", "/nowhere"], ["/nowhere", "no such folder"]),
    ],
    ids=lambda value: value[-1] if value and "=" in str(value[-1]) else "",
)
def test_a_wrong_request_is_one_line_and_status_2(
    arguments: list[str],
    parts: list[str],
    store: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(COMMANDS, "rank", "")
    assert main(["rank", *SMALL, f"store={store}", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(part in error for part in parts)
