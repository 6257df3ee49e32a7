"""A domain of which some classes have no item: a part of another one, and what splits and budgets make of
it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from transferscope.comparison.naive import class_counts
from transferscope.data import some_classes, splits
from transferscope.data.load import load_domain
from transferscope.errors import NotApplicable, RequestError


def part(*classes: str, of: str = "handwritten_digits") -> some_classes.Domain:
    return some_classes.load("low", of, list(classes), "data")


def test_it_holds_the_items_of_these_classes_and_the_names_of_all():
    whole, low = load_domain("target", "handwritten_digits", "data"), part("0", "3")
    kept = np.isin(whole.labels.numpy(), [0, 3])
    assert low.name == "low" and low.classes == whole.classes
    assert low.ids.tolist() == whole.ids[kept].tolist() and torch.equal(low.inputs, whole.inputs[kept])
    assert low.labels.unique().tolist() == [0, 3] and len(low) == len(low.split) == kept.sum()
    assert low.digest != replace(low, classes=low.classes[:4]).digest


@pytest.mark.parametrize(
    ("name", "classes", "says"),
    [("low", ["0", "11"], "items_of=11: no class of handwritten_digits"),
     ("handwritten_digits", ["0"], "domain=handwritten_digits: a domain"),
     ("low", [], "has no item of these classes")],
)  # fmt: skip
def test_what_is_no_part_is_refused(name, classes, says):
    with pytest.raises(RequestError, match=says):
        some_classes.load(name, "handwritten_digits", classes, "data")


def test_a_test_item_of_the_part_is_one_of_the_whole():
    whole, low = load_domain("target", "handwritten_digits", "data"), part("0", "3")
    tested = [
        domain.ids[splits.split(replace(domain, name="same"), split_seed=0)[1]] for domain in (whole, low)
    ]
    assert set(tested[1]) < set(tested[0])


def test_budgets_are_of_the_classes_that_have_items():
    low = part("0", "3")
    train, _ = splits.split(low, split_seed=0)
    chosen, aside = splits.labelled_subset(low, train, 5, seed=0)
    assert low.labels[np.r_[chosen, aside]].bincount(minlength=10).tolist() == [5, 0, 0, 5, 0, 0, 0, 0, 0, 0]
    assert splits.largest_budget(low, train) == min(low.labels[train].bincount(minlength=10)[[0, 3]])
    with pytest.raises(NotApplicable, match="give at most"):
        splits.labelled_subset(low, train, 10_000, seed=0)


def test_a_class_with_test_items_alone_is_refused_all_the_same():
    low = part("0", "3")
    split = np.where(low.labels.numpy() == 3, "test", "train")
    low = replace(low, split=split)
    with pytest.raises(RequestError, match="class '3' has no labelled training item"):
        splits.labelled_subset(low, *splits.split(low, 0)[:1], 2, seed=0)


@pytest.mark.parametrize("budget", [5, "full"])
def test_the_naive_answer_never_is_a_class_without_labels(budget):
    counts = {str(c): 5 if c in (0, 3) else 0 for c in range(10)}
    record = {
        "cell": {"label_budget": budget},
        "sees": ["target_labels"],
        "result": {"class_counts": {"target": counts}},
    }
    expected = class_counts(record, np.array(list(counts)))
    assert [c for c, count in enumerate(expected) if count] == [0, 3]
