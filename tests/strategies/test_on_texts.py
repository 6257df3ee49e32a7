"""Every strategy that goes with classes on texts: it runs and trains what it says, no label reaches it that
it may not see, and it is the same bits twice."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from tiny_encoders import encoder
from tiny_texts import pair, trained
from transferscope.backbones.transformer import Transformer
from transferscope.errors import NotApplicable, RequestError
from transferscope.store.record import read_record

SHELF = Path(__file__).parents[2] / "conf" / "strategy"
BACKBONE = ["backbone=small_transformer", "backbone.layers=1", "backbone.width=64", "backbone.buckets=64",
    "backbone.max_tokens=8"]  # fmt: skip
# of numbers alone, of tables alone, on feature maps, by views of pictures, on normalisation by the batch
LEFT_OUT = {
    "ridge", "linear_svr", "nearest_neighbours", "boosted_trees", "source_boosted_trees", "mixstyle",
    "consistency", "adaptive_bn", "tent",
}  # fmt: skip
NAMES = sorted({path.stem for path in SHELF.glob("*.yaml")} - LEFT_OUT)
# one of each kind; the others are slow
OFTEN = {"fine_tuning", "lora", "dann", "nearest_mean", "source_svm"}
EACH = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.slow]) for name in NAMES]
)


def of(name: str, store: Path, domains=None) -> tuple[dict, dict[str, np.ndarray]]:
    kind = get_class(OmegaConf.load(SHELF / f"{name}.yaml")["_target_"])
    budget = 3 if kind.needs_target_labels else 0
    folder = trained(*BACKBONE, f"strategy={name}", f"label_budget={budget}", store=store, domains=domains)
    with np.load(folder / "evaluations.npz", allow_pickle=False) as members:
        outputs = {key: members[key] for key in members if key.startswith("here/test/outputs")}
    return read_record(folder), outputs


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return cache(lambda name: of(name, tmp_path_factory.mktemp(name)))


@EACH
def test_it_runs_and_changes_what_it_says(once, name):
    record, outputs = once(name)
    assert record["status"] in ("done", "collapsed"), record["reason"]
    assert record["result"]["texts"]["here"] == {"items": 60, "cut": 0}
    first, last = outputs["here/test/outputs/000000"], outputs["here/test/outputs/000008"]
    assert np.isfinite(last).all() and last.shape == (30, 2)
    if record.get("acts_on", {}).get("parameters", {"changed": 0})["changed"]:
        assert not np.array_equal(first, last)


@EACH
def test_no_label_that_it_may_not_see_reaches_it(once, name, tmp_path):
    domains = pair()
    here = domains["here"]
    hidden = (here.split == "test") | (name not in seeing_target_labels())
    labels = here.labels.clone()
    labels[hidden] = 1 - labels[hidden]
    domains["here"] = replace(here, labels=labels)
    record, outputs = of(name, tmp_path, domains)
    assert all(np.array_equal(values, outputs[key]) for key, values in once(name)[1].items())


@EACH
def test_it_is_the_same_bits_twice(once, name, tmp_path):
    record, outputs = of(name, tmp_path)
    assert record["fingerprint"] == once(name)[0]["fingerprint"]
    assert all(np.array_equal(values, outputs[key]) for key, values in once(name)[1].items())


def seeing_target_labels() -> set[str]:
    kinds = {name: get_class(OmegaConf.load(SHELF / f"{name}.yaml")["_target_"]) for name in NAMES}
    return {name for name, kind in kinds.items() if "target_labels" in kind.sees and kind.needs_target_labels}


@pytest.mark.parametrize("name", ["mixstyle", "consistency"])
def test_what_needs_pictures_is_refused_in_one_line(name, tmp_path):
    with pytest.raises(NotApplicable) as refusal:
        of(name, tmp_path)
    assert "\n" not in str(refusal.value)


def test_zero_shot_is_the_softmax_of_cosines_to_descriptions(tmp_path):
    domains, folder = pair(), encoder(tmp_path / "bert")
    words = ["backbone=transformer", f"backbone.model={folder}", "backbone.weights=pretrained",
        "backbone.max_tokens=16", "strategy=zero_shot", "strategy.scale=5"]  # fmt: skip
    run = trained(*words, "+strategy.descriptions.good=a plain text", store=tmp_path, domains=domains)
    with np.load(run / "evaluations.npz", allow_pickle=False) as members:
        found, ids = members["here/test/outputs/000008"], members["here/test/ids"]
    backbone = Transformer((1,), folder, "pretrained", max_tokens=16).eval()
    texts = dict(zip(domains["here"].ids, domains["here"].inputs.items(), strict=True))
    items = [texts[item] for item in ids] + [("bad",), ("a plain text",)]
    with torch.no_grad():
        rows = Transformer.reader(model=folder, max_tokens=16).read(items).rows(np.arange(len(items)))
        features = torch.nn.functional.normalize(backbone(rows))
    expected = torch.softmax(5 * features[:-2] @ features[-2:].T, dim=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(RequestError, match=r"goood: no class of the target; .*did you mean 'good'"):
        trained(*words, "+strategy.descriptions.goood=a plain text", store=tmp_path, domains=domains)


def test_a_penalty_on_no_weight_is_none(tmp_path):
    run = trained("backbone=tfidf", "strategy=l2_sp", "label_budget=3", store=tmp_path)
    assert read_record(run)["status"] in ("done", "collapsed")
