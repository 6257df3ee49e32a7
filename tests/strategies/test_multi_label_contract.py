"""What every strategy promises where an item may have several labels: it is refused in one line, or it runs,
learns, and reads no label that it may not see."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from strategies.test_contract import CLASSES, NAMES
from strategies.test_regression_contract import OF_CLASSES
from transferscope.data import splits
from transferscope.errors import NotApplicable
from transferscope.training import request
from transferscope.training.request import resolve

ON_TAGS = ["target=tags", "source=tags_shifted", "label_budget=40"]
# of classes; kernel mean matching has weights for a classifier of classes or a regression alone
REFUSED = OF_CLASSES | {"kmm"} | {name for name in NAMES if "values" in CLASSES[name].needs}
SERVING = pytest.mark.parametrize("name", sorted(set(NAMES) - REFUSED))


@pytest.fixture(scope="module")
def tags() -> dict:
    """Both domains with the split that the runs draw written into them."""
    domains = {}
    for name in ("tags", "tags_shifted"):
        domain = request.load_domain("target", name, "data")
        _, test = splits.split(domain, split_seed=0)
        domains[name] = replace(
            domain, split=np.where(np.isin(np.arange(len(domain)), test), "test", "train")
        )
    return domains


@pytest.fixture(scope="module")
def plain(train, tags):
    """plain(name): its run, once."""
    return cache(lambda name: train(*ON_TAGS, f"strategy={name}", domains=tags))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_needs_classes_or_numbers_is_refused_before_training(config, name):
    with pytest.raises(NotApplicable, match=r"needs (classes|values), and a multi_label gives labels"):
        resolve(config("store=runs", *ON_TAGS, f"strategy={name}"))


@SERVING
def test_it_runs_to_a_finished_record_and_learns(plain, name):
    run = plain(name)
    assert run.record["status"] in ("done", "collapsed"), run.record["reason"]
    steps = run.record["result"]["evaluations"]
    first, last = (run.members[f"tags/test/outputs/{step:06d}"] for step in (steps[0], steps[-1]))
    assert last.shape == (len(run.members["tags/test/ids"]), 4) and last.dtype == np.float32
    assert ((last >= 0) & (last <= 1)).all() and not np.array_equal(first, last)
    f1 = f1_score(run.members["tags/test/targets"], last > 0.5, average="samples", zero_division=1)
    assert run.record["result"]["metrics"]["tags/test/item_f1"] == pytest.approx(f1, rel=1e-5)


@SERVING
def test_no_prediction_depends_on_a_label_that_the_strategy_may_not_see(plain, train, tags, name):
    clean = plain(name)
    hidden = {"tags": "test"} if "target_labels" in CLASSES[name].sees else {"tags": ""}
    if "source_labels" not in clean.record["sees"]:
        hidden["tags_shifted"] = ""
    garbage = {}
    for domain, part in tags.items():
        labels = part.labels.clone()
        if domain in hidden:
            chosen = np.flatnonzero(part.split == "test") if hidden[domain] else np.arange(len(part))
            labels[chosen] = torch.from_numpy(
                np.random.default_rng(0).integers(0, 2, (len(chosen), 4))
            ).float()
        garbage[domain] = replace(part, labels=labels)
    poisoned = train(*ON_TAGS, f"strategy={name}", domains=garbage)
    for step in clean.record["result"]["evaluations"]:
        member = f"tags/test/outputs/{step:06d}"
        assert np.array_equal(clean.members[member], poisoned.members[member])
