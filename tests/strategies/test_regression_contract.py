"""What every strategy promises where numbers are predicted: it is refused in one line, or it runs, learns,
and reads no label that it may not see."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from strategies.test_contract import CLASSES, EVERY
from transferscope.data import splits
from transferscope.errors import NotApplicable
from transferscope.training import request
from transferscope.training.request import resolve

ON_NUMBERS = ["target=friedman", "source=friedman_shifted", "label_budget=40"]
OF_CLASSES = {
    "aad", "bnm", "cdan", "cdan_e", "co_tuning", "consistency", "gated_dann", "iwdan", "jda", "label_shift",
    "linear_svm", "logistic_regression", "mcc", "mdd", "minimum_entropy", "mme", "nearest_mean", "pada",
    "sar", "shot", "source_svm", "target_ssl", "tent", "zero_shot",
}  # fmt: skip
# whose classifier serves classes alone unless another is given
WITH = {"kmm": ["strategy.classifier=ridge"]}
SERVING = pytest.mark.parametrize("name", sorted(set(EVERY) - OF_CLASSES))


def words(name: str) -> list[str]:
    return [*ON_NUMBERS, f"strategy={name}", *WITH.get(name, [])]


@pytest.fixture(scope="module")
def numbers() -> dict:
    """Both domains with the split that the runs draw written into them, of four features as the tiny
    backbones take them."""
    domains = {}
    for name in ("friedman", "friedman_shifted"):
        domain = request.load_domain("target", name, "data")
        _, test = splits.split(domain, split_seed=0)
        split = np.where(np.isin(np.arange(len(domain)), test), "test", "train")
        domains[name] = replace(domain, split=split, inputs=domain.inputs[:, :4])
    return domains


@pytest.fixture(scope="module")
def plain(train, numbers):
    """plain(name): its run, once."""
    return cache(lambda name: train(*words(name), domains=numbers))


@pytest.mark.parametrize("name", sorted(OF_CLASSES))
def test_what_needs_classes_is_refused_before_training(config, name):
    with pytest.raises(NotApplicable, match=r"needs classes, and a regression gives values"):
        resolve(config("store=runs", *words(name)))


@SERVING
def test_it_runs_to_a_finished_record_and_learns(plain, name):
    run = plain(name)
    assert run.record["status"] in ("done", "collapsed"), run.record["reason"]
    steps = run.record["result"]["evaluations"]
    first, last = (run.members[f"friedman/test/outputs/{step:06d}"] for step in (steps[0], steps[-1]))
    assert last.shape == (200, 1) and last.dtype == np.float32 and np.isfinite(last).all()
    assert not np.array_equal(first, last)
    mae = run.record["result"]["metrics"]["friedman/test/mae"]
    assert mae == pytest.approx(np.abs(last - run.members["friedman/test/targets"]).mean(), rel=1e-5)


@SERVING
def test_no_prediction_depends_on_a_number_that_the_strategy_may_not_see(plain, train, numbers, name):
    clean = plain(name)
    hidden = {"friedman": "test"} if "target_labels" in CLASSES[name].sees else {"friedman": ""}
    if "source_labels" not in clean.record["sees"]:
        hidden["friedman_shifted"] = ""
    garbage = {}
    for domain, part in numbers.items():
        labels = part.labels.clone()
        if domain in hidden:
            chosen = np.flatnonzero(part.split == "test") if hidden[domain] else np.arange(len(part))
            labels[chosen] = torch.from_numpy(
                np.random.default_rng(0).normal(50, 9, (len(chosen), 1))
            ).float()
        garbage[domain] = replace(part, labels=labels)
    # label strata deal items out: those of the test split are not dealt
    poisoned = train(*words(name), domains=garbage)
    for step in clean.record["result"]["evaluations"]:
        member = f"friedman/test/outputs/{step:06d}"
        assert np.array_equal(clean.members[member], poisoned.members[member])


@SERVING
def test_numbers_in_another_unit_are_predicted_in_that_unit(plain, train, numbers, name):
    scaled = {domain: replace(part, labels=1000 * part.labels + 5) for domain, part in numbers.items()}
    runs = plain(name), train(*words(name), domains=scaled)
    step = runs[0].record["result"]["evaluations"][-1]
    one, two = (run.members[f"friedman/test/outputs/{step:06d}"] for run in runs)
    np.testing.assert_allclose(two, 1000 * one + 5, rtol=2e-2, atol=1000 * 0.02 * one.std())
