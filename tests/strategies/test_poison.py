"""Garbage for the target's training labels: who sees none of them must not notice."""

import pytest


@pytest.mark.parametrize(
    "choice",
    [
        ("strategy=source_only", "label_budget=0"),
        ("strategy=source_only", "label_budget=10"),
        ("strategy=dann", "label_budget=0"),
    ],
)
def test_unsupervised_records_are_bit_identical(finished, train, scrambled, choice):
    assert train(*choice, domains=scrambled("blobs", "train")).bits == finished(*choice).bits


@pytest.mark.parametrize("name", ["scratch", "feature_extraction", "fine_tuning", "joint", "dann"])
def test_records_that_see_target_labels_change(finished, train, scrambled, name):
    poisoned = train(f"strategy={name}", domains=scrambled("blobs", "train"))
    assert poisoned.on_test().tobytes() != finished(f"strategy={name}").on_test().tobytes()


def test_dann_without_labels_sees_no_more_of_the_target_than_its_inputs(finished):
    record = finished("strategy=dann", "label_budget=0").record
    assert "target_labels" not in record["sees"] and record["subset"] is None
    assert record["result"]["samples"]["target_labelled"] == 0 and "blobs/val" not in str(
        record["result"]["metrics"]
    )
