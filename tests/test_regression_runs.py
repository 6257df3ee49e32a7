"""Numbers from a table to a verdict: runs of a sweep, their comparison and page, and what is refused."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.errors import NotApplicable, RequestError
from transferscope.report.page import render
from transferscope.store.evaluations import Evaluations
from transferscope.training.load import load_run
from transferscope.training.request import resolve

TINY = [
    "target=friedman", "source=friedman_shifted", "backbone=mlp", "backbone.hidden=[16]", "label_budget=40",
    "trainer.steps=60", "trainer.source_steps=60", "trainer.batch_size=16", "trainer.evaluations=4",
    "trainer.accelerator=cpu", "trainer.optimizer.lr=0.01", "tracking=off",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("numbers") / "runs"
    words = ["strategy=scratch,fine_tuning,source_only", "seed=range(0,3)", "keep=selected", "sweep=small"]
    assert main(["run", "-m", *TINY, *words, f"store={folder}"]) == 0
    return folder


def test_a_comparison_takes_the_tasks_own_metric_and_tells_errors_in_the_targets_unit(store):
    comparison = compare(store)
    assert comparison.settings["metric"] == "mae" and comparison.settings["unit"] == "y"
    assert comparison.settings["margin"] == "relative:0.05"
    cells = {cell.strategy: cell for cell in comparison}
    for cell in comparison:
        targets = [record["result"]["metrics"] for record in cell.evidence.records.values()]
        assert cell.unit == "y" and cell.strategy_score < 0 and targets
        assert cell.margin == pytest.approx(-0.05 * cell.baseline_score)
    by_run = [
        record["result"]["metrics"]["friedman/test/mae"]
        for record in cells["fine_tuning"].evidence.records.values()
        if record["cell"]["strategy"] == "fine_tuning"
    ]
    # errors are judged clipped, and told as they are
    assert 0.9 * np.mean(by_run) < -cells["fine_tuning"].strategy_score <= np.mean(by_run) + 1e-6
    told = json.loads(comparison.to_json())["cells"][0]
    assert told["percent_of_naive"] == pytest.approx(100 * told["delta"] / naive_error(cells), rel=1e-6)
    assert all(word in comparison.to_table(100) for word in ("Δ y [95 %]", "5 % of the baseline's risk"))
    assert "labelled" in comparison.to_table(100)


def naive_error(cells: dict) -> float:
    """By hand: the median of the labelled numbers, of each seed, clipped as errors are."""
    seen, errors = cells["fine_tuning"].evidence, []
    for folder in seen.baseline_runs:
        with Evaluations(folder / "evaluations.npz") as members:
            targets = members["friedman/test/targets"]
            cap = float(members["friedman/test/errors/cap"])
        [median] = seen.records[folder]["result"]["centers"]["target"]["median"]
        errors.append(np.minimum(np.abs(targets - median), cap).mean())
    return float(np.mean(errors))


def test_naive_is_the_median_of_the_labelled_numbers(store):
    cells = {cell.strategy: cell for cell in compare(store, baseline="naive")}
    assert -cells["fine_tuning"].baseline_score == pytest.approx(
        naive_error({cell.strategy: cell for cell in compare(store)}), rel=1e-6
    )
    assert cells["fine_tuning"].verdict == "positive"


def test_the_page_has_the_sections_that_numbers_have(store):
    page = html.unescape(re.sub("<[^>]+>", " ", render(compare(store, metric="rmse"))))
    assert "Where predictions miss" in page and "Where along the range" in page
    assert "Which items change sides" not in page and "log-likelihood" not in page
    assert "R²" in page and "shown and not judged" in page and "of the naive error" in page
    assert "hundredths of accuracy" not in page and "nan" not in page.lower().split()


def test_a_kept_model_predicts_what_its_record_holds(store):
    for record in sorted(store.glob("[0-9a-f]*/record.json")):
        run = load_run(record.parent)
        assert run.classes == () and run.task.outputs == 1 and run.strategy is not None
    from transferscope.training.request import load_domain

    domain = load_domain("target", "friedman", "data")
    ids = run.evaluations["friedman/test/ids"]
    inputs = domain.inputs[np.searchsorted(domain.ids, ids)]
    step = max(run.evaluations.steps("friedman/test"))
    np.testing.assert_allclose(
        run.predict(inputs).numpy(), run.evaluations.outputs("friedman/test", step), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["source=blobs_shifted", "strategy=joint"], "needs the task and quantities of target friedman"),
        (["source=blobs_shifted", "strategy=multi_task"], "these are of two tasks"),
        (["trainer.loss=cross_entropy"], "trainer.loss=cross_entropy: target friedman is a regression"),
        (["trainer.label_smoothing=0.1"], "trainer.label_smoothing=0.1: is for classes"),
        (["trainer.class_weights=balanced"], "trainer.class_weights=balanced: is for classes"),
        (["trainer.sampler=balanced"], "trainer.sampler=balanced: is for classes"),
        (["selection=entropy", "keep=selected"], "validators judge class probabilities"),
        (["label_budget=10", "selection=target_val", "keep=selected"], "below 20 labelled items none is set"),
        (["label_budget=1000"], "has 200 labelled training items; give at most 200 or 'full'"),
        (["strategy=tent"], "strategy=tent: needs classes"),
        (["strategy=coral", "strategy.classifier=svm"], "needs classes"),
    ],
)
def test_what_numbers_do_not_go_with_is_one_line(words, line):
    with pytest.raises(NotApplicable, match=re.escape(line)) as refusal:
        resolve(composed(*words))
    assert "\n" not in str(refusal.value)


def composed(*words: str):
    with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
        return compose("config", overrides=[*TINY, *words])


def test_a_source_of_classes_hands_on_its_backbone_alone(tmp_path):
    words = [*TINY, "target=four", "source=blobs", "strategy=fine_tuning", f"store={tmp_path / 'runs'}"]
    conf = tmp_path / "conf" / "domain"
    conf.mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(80, 5))
    np.savetxt(tmp_path / "four.csv", rows, delimiter=",", header="a,b,c,d,y", comments="")
    (conf / "four.yaml").write_text(
        "# four features\n_target_: transferscope.data.tables.load\n"
        f"path: {tmp_path / 'four.csv'}\nlabel: y\ntask: regression\n"
    )
    given = ["--config-dir", str(tmp_path / "conf")]
    assert main(["run", *words, "label_budget=20", *given]) == 0
    [path] = (tmp_path / "runs").glob("[0-9a-f]*/record.json")
    record = json.loads(path.read_text())
    assert record["cell"]["initialisation"] == "source" and record["result"]["task"]["quantities"] == ["y"]
    assert "blobs/val/mae" not in record["result"]["metrics"]


HEAD = "a,b,price"
GOOD = ["1,2,3.5", "2,3,4.5", "3,4,5.5", "4,5,6.5"]


@pytest.mark.parametrize(
    ("rows", "more", "line"),
    [
        (["1,2,3.5", "2,3,3.5"], "", "price is 3.5 for every item; nothing is to be predicted"),
        ([*GOOD, "5,6,"], "", "column price of table.csv has nothing in row 4; say unlabelled: nan"),
        ([*GOOD, "5,6,inf"], "", "column price of table.csv is infinite in row 4"),
        ([*GOOD, "5,6,cheap"], "", "has 'cheap' in row 4, which is no number"),
        ([*GOOD, "x,6,7.5"], "", "column a of table.csv has 'x' in row 4, which is no number"),
        (GOOD, "label: prise\n", "no column 'prise' in table.csv"),
        (GOOD, "task: regresion\n", "task=regresion; allowed: classification, regression"),
        (GOOD, "task: nowhere.Task\n", "task=nowhere.Task: cannot be imported"),
        (GOOD, "task: classification\nunit: EUR\n", "unit=EUR: classes have none"),
        (GOOD, "task: classification\n", "allowed: whole numbers or text, or task: regression"),
        (GOOD, "classes: {1: a}\n", "classes: renames labels, and of a regression there are none"),
    ],
)
def test_a_table_of_bad_numbers_is_one_line(tmp_path, monkeypatch, rows, more, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("\n".join([HEAD, *rows]))
    given = {"label": "label: price\n", "task": "task: regression\n"}
    kept = "".join(text for key, text in given.items() if f"{key}:" not in more)
    folder = tmp_path / "conf" / "domain"
    folder.mkdir(parents=True)
    (folder / "table.yaml").write_text(
        f"# a table\n_target_: transferscope.data.tables.load\npath: table.csv\n{kept}{more}"
    )
    from transferscope.catalog import yamls
    from transferscope.training.request import load_domain

    monkeypatch.setattr(yamls, "folders", lambda: (tmp_path / "conf",))
    with pytest.raises(RequestError, match=re.escape(line)) as refusal:
        load_domain("target", "table", "data")
    assert "\n" not in str(refusal.value)


def test_items_without_a_number_are_for_training_alone(tmp_path):
    from transferscope.data import splits, tables

    rows = [f"{i},{i % 7},{'' if i % 5 == 0 else i / 2}" for i in range(100)]
    (tmp_path / "table.csv").write_text("\n".join([HEAD, *rows]))
    domain = tables.load(
        "table", str(tmp_path / "table.csv"), label="price", task="regression", unlabelled="nan"
    )
    train, test = splits.split(domain, 0)
    assert domain.is_labelled.sum() == 80 and len(test) == 40 and domain.is_labelled[test].all()
    budgets = [splits.labelled_subset(domain, train, k, seed=0) for k in (5, 20, 40)]
    drawn = [np.concatenate(parts) for parts in budgets]
    assert [len(items) for items in drawn] == [5, 20, 40] and len(budgets[1][1]) == 4
    assert set(drawn[0]) <= set(drawn[1]) <= set(drawn[2]) and domain.is_labelled[drawn[2]].all()
    quarters = domain.task.strata(domain.labels.numpy()).of
    assert np.bincount(quarters[drawn[1]], minlength=4).tolist() == [5, 5, 5, 5]


def test_runs_of_several_tasks_are_not_compared_by_one_metric(store, tmp_path, capsys):
    folder = tmp_path / "both"
    for words in (
        ["target=friedman", "source=friedman_shifted"],
        ["target=blobs", "source=blobs_shifted", "label_budget=5"],
    ):
        given = [word for word in TINY if word.split("=")[0] not in ("target", "source", "label_budget")]
        budget = [] if "target=blobs" in words else ["label_budget=5"]
        grid = ["strategy=scratch,fine_tuning", "trainer.steps=8", "trainer.source_steps=8"]
        assert main(["run", "-m", *given, *words, *budget, *grid, f"store={folder}"]) == 0
    capsys.readouterr()
    assert main(["compare", str(folder)]) == 2
    assert "--metric: the runs are of several tasks (classification, regression)" in capsys.readouterr().err
    comparison = compare(folder, metric="mae")
    assert {cell.target for cell in comparison} == {"friedman"}
    assert any("accuracy" in row["reason"] or "mae: " in row["reason"] for row in comparison.missing)


def test_several_numbers_of_an_item_are_judged_together_in_standard_deviations(tmp_path):
    rng = np.random.default_rng(0)
    conf = tmp_path / "conf" / "domain"
    conf.mkdir(parents=True)
    for name, shift in (("near", 0.0), ("far", 0.3)):
        x = rng.normal(size=(160, 4))
        height, weight = x[:, 0] + shift + rng.normal(size=160) / 5, 1000 * (x[:, 1] - x[:, 2])
        np.savez(tmp_path / f"{name}.npz", inputs=x, labels=np.stack([height, weight], axis=1))
        (conf / f"{name}.yaml").write_text(
            f"# {name}\n_target_: transferscope.data.arrays.load\n"
            f"path: {tmp_path / name}.npz\ntask: regression\n"
        )
    given = [word for word in TINY if word.split("=")[0] not in ("target", "source")]
    store = tmp_path / "runs"
    words = ["target=near", "source=far", "strategy=scratch,fine_tuning,ridge,boosted_trees", "seed=0,1"]
    assert main(["run", "-m", "--config-dir", str(tmp_path / "conf"), *given, *words, f"store={store}"]) == 0
    comparison = compare(store)
    assert {cell.unit for cell in comparison} == {"SD"} and len(comparison.cells) == 3
    for path in store.glob("[0-9a-f]*/record.json"):
        metrics = json.loads(path.read_text())["result"]["metrics"]
        with Evaluations(path.parent / "evaluations.npz") as members:
            last = members.outputs("near/test", max(members.steps("near/test")))
            targets, spread = members["near/test/targets"], members["near/test/errors/spread"]
        errors = np.abs(last.astype(float) - targets) / spread
        assert last.shape == (80, 2) and metrics["near/test/mae"] == pytest.approx(errors.mean(), rel=1e-5)
        assert metrics["near/test/mae"] < 1.2  # neither quantity drowns the other
    page = render(comparison)
    assert "labels[0]" in page


def test_a_margin_in_no_unit_in_common_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    conf = tmp_path / "conf" / "domain"
    conf.mkdir(parents=True)
    for name, unit in (("flats", "EUR"), ("trees", "m"), ("archive", "EUR")):
        x = rng.normal(size=(80, 4))
        np.savez(tmp_path / f"{name}.npz", inputs=x, labels=x[:, 0] + rng.normal(size=80) / 5)
        (conf / f"{name}.yaml").write_text(
            f"# {name}\n_target_: transferscope.data.arrays.load\n"
            f"path: {tmp_path / name}.npz\ntask: regression\nunit: {unit}\n"
        )
    given = [word for word in TINY if word.split("=")[0] not in ("target", "source", "label_budget")]
    words = ["target=flats,trees", "source=archive", "strategy=scratch,fine_tuning", "seed=0,1"]
    words += ["label_budget=20", f"store={tmp_path / 'runs'}"]
    assert main(["run", "-m", "--config-dir", str(tmp_path / "conf"), *given, *words]) == 0
    with pytest.raises(RequestError, match=r"--margin 0.1: the targets' units differ \(EUR, m\)"):
        compare(tmp_path / "runs", margin=0.1)
    comparison = compare(tmp_path / "runs")
    assert {cell.unit for cell in comparison} == {"EUR", "m"}
    with pytest.raises(RequestError, match=r"--over targets: .* several units \(EUR, m\)"):
        comparison.over("targets")
    assert "Δ the target's unit" in comparison.to_table(120)
    assert "nan" not in render(comparison).lower().split()
