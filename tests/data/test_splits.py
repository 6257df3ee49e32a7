"""Which items a run may touch: budgets, splits, pools, noise."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from transferscope.data import splits
from transferscope.data.domain import Domain
from transferscope.errors import NotApplicable, RequestError

EVERYTHING = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
BUDGETS = (1, 2, 4, 5, 7, 10, 25, "full")


def domain(
    name: str = "toy", per_class: int = 60, classes: tuple[str, ...] = ("a", "b", "c"), **arguments
) -> Domain:
    """Inputs [N, 2]: the item's number and its class, so that a pool says which items it holds."""
    class_of = [c for c in classes for _ in range(per_class)]
    inputs = torch.tensor([[float(number), float(classes.index(c))] for number, c in enumerate(class_of)])
    return Domain.build(
        name, inputs, class_of, [f"{name}-{number}" for number in range(len(class_of))], **arguments
    )


def drawn(budget: int | str, seed: int = 0, toy: Domain | None = None) -> tuple[set[int], set[int]]:
    toy = toy or domain()
    train, _ = splits.split(toy, split_seed=0)
    chosen, aside = splits.labelled_subset(toy, train, budget, seed)
    return set(chosen.tolist()), set(aside.tolist())


def numbers(inputs: torch.Tensor) -> set[int]:
    return set(inputs[:, 0].int().tolist())


# --- label budgets


def test_budgets_are_nested_for_training_and_for_validation():
    for smaller, larger in pairwise(drawn(budget) for budget in BUDGETS):
        assert smaller[0] <= larger[0] and smaller[1] <= larger[1]


@pytest.mark.parametrize(
    ("budget", "train", "aside"),
    [(1, 1, 0), (4, 4, 0), (5, 4, 1), (9, 8, 1), (10, 8, 2), (25, 20, 5), ("full", 24, 6)],
)
def test_a_fifth_of_each_class_is_set_aside_from_five_labels_on(budget, train, aside):
    labels = domain().labels
    for part, size in zip(drawn(budget), (train, aside), strict=True):
        assert labels[sorted(part)].bincount(minlength=3).tolist() == [size] * 3


def test_the_subset_is_labelled_training_items_drawn_by_the_seed():
    toy = domain()
    train, _ = splits.split(toy, split_seed=0)
    subsets = [set.union(*drawn(10, seed)) for seed in range(4)]
    assert all(subset <= set(train.tolist()) for subset in subsets)
    assert len({frozenset(subset) for subset in subsets}) == 4


def test_every_strategy_of_a_seed_gets_the_same_subset():
    tasks = [
        splits.prepare(domain(), (domain("other"),), frozenset(sees), 10, seed=3, split_seed=0)
        for sees in ({"target_labels"}, {"target_labels", "target_inputs"}, EVERYTHING)
    ]
    assert len({task.subset for task in tasks}) == 1
    assert all(torch.equal(task.pools.target.inputs, tasks[0].pools.target.inputs) for task in tasks)


def test_the_hash_of_the_subset_is_of_all_its_items():
    def subset(budget: int, seed: int) -> str:
        return splits.prepare(domain(), (), frozenset({"target_labels"}), budget, seed, split_seed=0).subset

    assert subset(5, 0) == subset(5, 0) != subset(5, 1)
    assert subset(5, 0) != subset(4, 0)  # the same training items, and one a class more set aside


def test_a_class_more_leaves_the_draw_of_the_others_alone():
    of_b = [
        {i for i in set.union(*drawn(4, toy=toy)) if toy.labels[i] == 1}
        for toy in (domain(), domain(classes=("a", "b", "c", "d")))
    ]
    assert of_b[0] == of_b[1]


def test_a_budget_beyond_a_class_names_the_class_and_its_count():
    toy = domain(per_class=20)
    toy = replace(toy, split=np.where(np.isin(np.arange(60), range(21, 27)), "test", toy.split))
    with pytest.raises(RequestError) as refused:
        drawn(9, toy=toy)
    assert (
        str(refused.value)
        == "label_budget=9: class 'b' of target toy has 7 labelled training items; give at most 7 or 'full'"
    )


def test_a_class_without_labelled_training_items_is_named():
    toy = domain()
    for emptied in (replace(toy, split=np.where(toy.labels == 2, "test", "train")),
                    replace(toy, labels=torch.where(toy.labels == 2, -1, toy.labels))):  # fmt: skip
        with pytest.raises(RequestError, match="target=toy: class 'c' has no labelled training item"):
            drawn(1, toy=emptied)


# --- train and test


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.75])
def test_each_class_gives_its_share_to_the_test_items(fraction):
    toy = domain(test_fraction=fraction)
    train, test = splits.split(toy, split_seed=0)
    assert toy.labels[test].bincount().tolist() == [round(60 * fraction)] * 3
    assert sorted([*train, *test]) == list(range(180))


def test_test_items_are_those_of_the_split_seed_whatever_the_seed():
    def test_ids(seed: int, split_seed: int) -> list[str]:
        return (
            splits.prepare(domain(), (), frozenset({"target_labels"}), 5, seed, split_seed)
            .evaluated["toy/test"]
            .ids.tolist()
        )

    assert test_ids(0, 0) == test_ids(1, 0) == test_ids(7, 0)
    assert test_ids(0, 0) != test_ids(0, 1)


def test_official_splits_are_kept_and_unlabelled_items_are_never_tested_on():
    toy = domain(split=["train", "test", "", "", "", ""] * 30)
    number = torch.arange(180)
    toy = replace(toy, labels=torch.where((number % 6 == 5) | (number % 12 == 1), -1, toy.labels))
    train, test = splits.split(toy, split_seed=0)
    assert set(np.flatnonzero(toy.split == "train")) <= set(train)
    assert set(np.flatnonzero((toy.split == "test") & (toy.labels.numpy() >= 0))) <= set(test)
    assert set(np.flatnonzero(toy.labels == -1)) <= set(train)
    # half of the 30 open labelled items of each class
    assert np.isin(np.flatnonzero(toy.split == ""), test).sum() == 3 * 15


def test_items_of_one_group_stay_together():
    groups = [f"writer-{number % 12}" for number in range(180)]
    toy = domain(groups=groups, test_fraction=0.25)
    train, test = splits.split(toy, split_seed=0)
    assert set(toy.groups[train]).isdisjoint(toy.groups[test]) and len(set(toy.groups[test])) == 3
    assert set(toy.groups[test]) != set(toy.groups[splits.split(toy, split_seed=1)[1]])
    assert (
        splits.prepare(toy, (), frozenset({"target_labels"}), 5, 0, 0).evaluated["toy/test"].groups.tolist()
        == toy.groups[test].tolist()
    )


def test_a_target_with_nothing_to_test_on_is_refused():
    with pytest.raises(RequestError, match="target=toy: no labelled item is left to test on"):
        splits.prepare(domain(split="train"), (), frozenset({"target_labels"}), 5, 0, 0)


# --- pools


def test_the_unlabelled_pool_has_the_test_inputs_only_under_the_transductive_protocol():
    train, test = splits.split(domain(), split_seed=0)
    for protocol, items in (("inductive", set(train)), ("transductive", set(train) | set(test))):
        task = splits.prepare(domain(), (), frozenset({"target_inputs"}), 0, 0, 0, protocol=protocol)
        assert numbers(task.pools.unlabelled) == items and len(task.pools.unlabelled) == len(items)


def test_validation_and_test_items_are_not_trained_on_with_their_labels():
    task = splits.prepare(domain(), (domain("other"),), EVERYTHING, 10, 0, 0)
    held = [numbers(task.evaluated[f"toy/{part}"].inputs) for part in ("val", "test")]
    assert len(held[0]) == 6 and numbers(task.pools.target.inputs).isdisjoint(held[0] | held[1])
    # each item comes with its own label
    assert torch.equal(task.pools.target.inputs[:, 1].long(), task.pools.target.labels)
    assert numbers(task.pools.source.inputs).isdisjoint(numbers(task.evaluated["other/val"].inputs))
    assert task.samples == {"source": 81, "target_labelled": 24, "target_val": 6, "target_unlabelled": 90}


def test_classes_of_the_labelled_items_are_counted_those_set_aside_as_well():
    uneven = replace(domain(), labels=torch.tensor([0] * 20 + [1] * 100 + [2] * 60))
    counts = {
        budget: splits.prepare(uneven, (), EVERYTHING, budget, 0, 0).class_counts for budget in (10, "full")
    }
    assert counts == {
        10: {"target": {"a": 10, "b": 10, "c": 10}},
        "full": {"target": {"a": 10, "b": 50, "c": 30}},
    }
    sources = domain("first", classes=("a", "c")), domain("second", classes=("b", "c"))
    task = splits.prepare(domain(), sources, frozenset({"target_inputs"}), 0, 0, 0, source_label_noise=1.0)
    assert task.class_counts == {"source": {"a": 30, "b": 30, "c": 60}}


def test_source_labels_come_only_to_those_that_see_them():
    task = splits.prepare(
        domain(), (domain("other"),), frozenset({"source_inputs", "target_inputs"}), 0, 0, 0
    )
    assert set(task.pools.source.labels.tolist()) == {-1}


def test_several_sources_share_one_set_of_classes():
    first, second = domain("first", classes=("a", "c")), domain("second", classes=("b", "c"))
    task = splits.prepare(domain(), (first, second), EVERYTHING, 5, 0, 0)
    assert task.source_task.classes == ("a", "b", "c")
    source = task.pools.source
    names = [
        [("a", "c"), ("b", "c")][number][int(c)]
        for number, c in zip(source.domain, source.inputs[:, 1], strict=True)
    ]
    assert [task.source_task.classes[label] for label in source.labels] == names
    assert [task.source_task.classes[label] for label in task.evaluated["second/val"].labels] == [
        ("b", "c")[int(c)] for c in task.evaluated["second/val"].inputs[:, 1]
    ]


def test_inputs_of_another_shape_are_refused():
    wide = replace(domain("wide"), inputs=torch.zeros(180, 3))
    with pytest.raises(
        RequestError, match=r"source=wide: inputs of shape \(3,\) beside a target of shape \(2,\)"
    ):
        splits.prepare(domain(), (wide,), EVERYTHING, 5, 0, 0)


# --- source label noise


def noisy(share: float, seed: int = 0) -> splits.LabelledData:
    task = splits.prepare(
        domain(), (domain("other", per_class=600),), EVERYTHING, 5, seed, 0, source_label_noise=share
    )
    held = task.evaluated["other/val"]
    assert torch.equal(held.labels, held.inputs[:, 1].long())  # what chooses a checkpoint is left as it is
    return task.pools.source


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_noise_keeps_items_and_class_sizes_and_moves_the_share_of_labels(share):
    clean, source = noisy(0.0), noisy(share)
    assert torch.equal(clean.labels, clean.inputs[:, 1].long())
    assert torch.equal(source.inputs, clean.inputs) and torch.equal(
        source.labels.bincount(), clean.labels.bincount()
    )
    moved = (source.labels != clean.labels).float().mean()
    # of three equal classes a third of the permuted labels stay what they were
    assert moved == pytest.approx(share * 2 / 3, abs=0.05)


def test_noise_is_another_for_each_seed_and_the_same_for_one():
    assert torch.equal(noisy(1.0).labels, noisy(1.0).labels)
    assert not torch.equal(noisy(1.0).labels, noisy(1.0, seed=1).labels)


# --- folds


def in_folds(toy: Domain, of: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    return [splits.split(toy, 0, splits.Fold(number, of, seed)) for number in range(of)]


@pytest.mark.parametrize("of", [2, 5, 7])
def test_over_the_folds_every_labelled_item_is_tested_once(of):
    toy = replace(
        domain(per_class=13), labels=torch.where(torch.arange(39) % 10 == 0, -1, domain(per_class=13).labels)
    )
    cut = in_folds(toy, of)
    labelled = np.flatnonzero(toy.labels.numpy() >= 0)
    assert sorted(np.concatenate([test for _, test in cut]).tolist()) == labelled.tolist()
    for train, test in cut:
        assert sorted(np.r_[train, test].tolist()) == list(range(39))
        counts = toy.labels[test].bincount(minlength=3)
        assert counts.max() - counts.min() <= 2 and abs(len(test) - len(labelled) / of) < 1


def test_folds_are_drawn_by_the_seed_and_keep_groups_together():
    groups = [f"writer{number // 4}" for number in range(180)]
    toy = domain(groups=groups)
    for _, test in in_folds(toy, 5):
        assert len(test) == 4 * len(set(toy.groups[test])) == 36
    tests = {seed: tuple(in_folds(domain(), 5, seed)[0][1]) for seed in (0, 1)}
    assert tests[0] != tests[1] and tests[0] == tuple(in_folds(domain(), 5, 0)[0][1])


def test_a_domain_with_an_official_test_split_has_no_folds():
    with pytest.raises(NotApplicable, match="fold=0: target toy has an official test split; leave fold out"):
        in_folds(domain(split=["train", "test"] * 90), 2)
