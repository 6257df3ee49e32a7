"""Domains of several labels an item: from tables and arrays, refused in a line, drawn by their rarest
label."""

import numpy as np
import pytest
import torch

from transferscope.data import arrays, splits, tables
from transferscope.data.domain import Domain
from transferscope.data.load import load_domain
from transferscope.errors import RequestError

ROWS = ["0.1,1,0", "0.2,0,0", "0.3,0,1", "0.4,1,1"]


def table(tmp_path, rows, **given) -> Domain:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["x,sea,city", *rows]) + "\n")
    return tables.load("mine", str(path), label=["sea", "city"], task="multi_label", **given)


def test_columns_of_a_table_are_labels_sorted_by_name(tmp_path):
    domain = table(tmp_path, [*ROWS, "0.5,,"], unlabelled="nan")
    assert domain.tags == ("city", "sea") and domain.labels.dtype == torch.float32
    assert domain.labels[:4].tolist() == [[0, 1], [0, 0], [1, 0], [1, 1]]
    assert domain.is_labelled.tolist() == [True, True, True, True, False]
    assert list(domain.columns) == ["x"]


@pytest.mark.parametrize(
    "rows, words",
    [
        ([*ROWS, "0.5,2,0"], "column sea of .* has 2 in row 4; 1 or 0 is needed"),
        ([*ROWS, "0.5,1,"], "column city of .* has nothing in row 4, of which other labels are known"),
        ([*ROWS, "0.5,1,yes"], "column city of .* has 'yes' in row 4"),
        (["0.1,1,0", "0.2,0,0"], "no item has the label city"),
        (["0.1,1,1", "0.2,0,1"], "every item has the label city"),
    ],
)
def test_anything_else_is_refused_in_a_line(tmp_path, rows, words):
    with pytest.raises(RequestError, match=words) as refusal:
        table(tmp_path, rows, unlabelled="nan")
    assert "\n" not in str(refusal.value)


def test_an_array_has_a_label_a_column(tmp_path):
    has = np.array([[1, 0], [0, 1], [1, 1]])
    np.savez(tmp_path / "mine.npz", inputs=np.eye(3, dtype="f4"), labels=has)
    domain = arrays.load("mine", str(tmp_path / "mine.npz"), task="multi_label")
    assert domain.tags == ("labels[0]", "labels[1]") and domain.labels.tolist() == has.tolist()
    assert domain.task.name == "multi_label" and domain.task.outputs == 2


def test_names_of_labels_are_part_of_what_a_run_consumes():
    has = np.eye(2)
    one, other = (
        Domain.of_tags("mine", torch.zeros(2, 1), has, ["a", "b"], tags=tags)
        for tags in (["x", "y"], ["x", "z"])
    )
    assert one.digest != other.digest


def test_every_label_is_in_both_parts_and_budgets_count_items_and_are_nested():
    domain = load_domain("target", "tags", "data")
    train, test = splits.split(domain, split_seed=0)
    has = domain.labels.numpy()
    assert np.abs(has[train].mean(0) - has[test].mean(0)).max() < 0.06
    drawn = [np.concatenate(splits.labelled_subset(domain, train, budget, 0)) for budget in (10, 40)]
    assert [len(items) for items in drawn] == [10, 40] and set(drawn[0]) <= set(drawn[1])
    assert has[drawn[0]].sum(0).min() > 0
    assert splits.largest_budget(domain, train) == len(train)
