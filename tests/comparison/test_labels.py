"""Several labels an item, from runs to verdicts and a page: tiny runs on the synthetic pair."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from sklearn.metrics import average_precision_score, roc_auc_score

from transferscope.comparison import naive
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence.label_parts import label_differences
from transferscope.data.load import load_domain
from transferscope.report import page
from transferscope.training.load import load_run
from transferscope.training.run import run

CONF = Path(__file__).parents[2] / "conf"
TAGS = ("common", "frequent", "rare", "scarce")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    words = [
        "target=tags", "source=tags_shifted", "backbone=mlp", "backbone.hidden=[16]", "trainer.steps=30",
        "trainer.source_steps=30", "trainer.batch_size=16", "trainer.evaluations=3", "label_budget=40",
        "trainer.optimizer.lr=0.02", "trainer.accelerator=cpu", "tracking=off", "keep=selected",
        f"store={folder}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for strategy in ("scratch", "fine_tuning"):
            for seed in range(2):
                run(compose("config", [*words, f"strategy={strategy}", f"seed={seed}"]))
    return folder


def test_the_metric_is_that_of_the_task_and_its_unit_a_point(store):
    comparison = compare(store)
    (cell,) = comparison.cells
    assert (cell.metric, cell.unit, cell.margin) == ("item_f1", "points", 0.01)
    assert cell.evidence.tags == list(TAGS) and not cell.evidence.has_classes
    assert cell.items == len(cell.evidence.labels)


@pytest.mark.parametrize("metric, of", [("macro_auroc", roc_auc_score), ("map", average_precision_score)])
def test_scores_by_a_ranking_are_those_of_scikit_learn(store, metric, of):
    (cell,) = compare(store, metric=metric).cells
    seen = cell.evidence
    for folder, scores in zip(seen.strategy_runs, seen.strategy_scores, strict=True):
        loaded = load_run(folder)
        last = loaded.evaluations["tags/test/outputs/000030"]
        value = of(loaded.evaluations["tags/test/targets"], last)
        assert scores.mean() == pytest.approx(value, rel=0.02)  # of the jackknife less its bias
        assert loaded.record["result"]["metrics"][f"tags/test/{metric}"] == pytest.approx(value)


def test_a_metric_of_another_task_is_refused_in_a_line(store):
    comparison = compare(store, metric="accuracy")
    assert not comparison.cells
    assert comparison.missing[0]["reason"] == (
        "accuracy: is for classification, and tags is a multi_label (--metric item_f1, macro_auroc, map)"
    )


def test_the_naive_predictor_answers_what_most_items_have(store):
    cells = {cell.strategy: cell for cell in compare(store, baseline="naive").cells}
    seen = cells["scratch"].evidence
    record = seen.records[seen.strategy_runs[0]]
    shares = naive.answer(record, "item_f1", 4)
    assert shares.tolist() == record["result"]["centers"]["target"]["mean"]
    said, has = shares > 0.5, seen.labels == 1
    size = said.sum() + has.sum(1)
    f1 = np.where(size > 0, 2 * (said & has).sum(1) / np.maximum(size, 1), 1.0)
    assert seen.held_against[0] == pytest.approx(f1)
    for metric, value in (("macro_auroc", 0.5), ("map", seen.labels.mean())):
        (cell, _) = compare(store, baseline="naive", metric=metric).cells
        assert cell.baseline_score == pytest.approx(value)


def test_what_is_won_of_each_label(store):
    (cell,) = compare(store).cells
    found = label_differences(cell)
    assert list(found) == list(TAGS)
    seen = cell.evidence
    right = [
        (load_run(run).evaluations["tags/test/outputs/000030"] > 0.5) == (seen.labels == 1)
        for run in (seen.strategy_runs[1], seen.baseline_runs[1])
    ]
    by_hand = right[0].astype(float) - right[1]
    assert [found[tag][1].tolist() for tag in TAGS] == by_hand.T.tolist()


def test_the_page_tells_labels_and_nothing_of_classes(store):
    html = page.render(compare(store))
    assert "Which labels pay" in html and all(tag in html for tag in TAGS)
    assert "Which items change sides" not in html and "residual" not in html.partition("<main>")[2].lower()


def test_a_kept_model_predicts_probabilities_of_its_labels(store):
    (cell,) = compare(store).cells
    loaded = load_run(cell.evidence.strategy_runs[0])
    assert loaded.task.labels == TAGS and loaded.classes == ()
    inputs = load_domain("target", "tags", "data").inputs[:7]
    p = loaded.predict(inputs)
    assert p.shape == (7, 4) and ((p > 0) & (p < 1)).all()


def test_a_record_without_the_names_of_its_labels_is_told(store, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    path = next(copy.glob("*/record.json"))
    record = json.loads(path.read_text())
    del record["result"]["task"]["labels"]
    path.write_text(json.dumps(record))
    assert "'result.task.labels' is missing" in compare(copy).failed[0]["reason"]
