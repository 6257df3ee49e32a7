"""Test items of which a bit-equal copy lies among what a run trains on: what is then tested is memory."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from transferscope.data.domain import Domain
from transferscope.data.on_disk import OnDisk, item_hashes
from transferscope.data.splits import Fold, split
from transferscope.data.texts import Texts
from transferscope.errors import RequestError
from transferscope.tasks.copied import Copies

NEARLY = 0.95  # of the training items, whose label a column tells
ITEMS_A_VALUE = 4  # at least: a column of more values names items


@lru_cache(maxsize=8)
def count(target: Domain, sources: tuple[Domain, ...], split_seed: int, fold: Fold | None) -> Copies:
    train, test = split(target, split_seed, fold)
    return Copies(
        len(test),
        _shared(target, test, target, train),
        {s.name: _shared(target, test, s, np.arange(len(s))) for s in sources},
    )


def dropped(
    target: Domain, sources: tuple[Domain, ...], split_seed: int
) -> tuple[Domain, tuple[Domain, ...]]:
    """The domains without the items that are copies of the target's test items, which stay those they are;
    the domains themselves where there is none. Raises RequestError where that cannot be known."""
    kept = [_without(domain, target, split_seed) for domain in (target, *sources)]
    return kept[0], tuple(kept[1:])


@lru_cache(maxsize=8)
def _without(domain: Domain, target: Domain, split_seed: int) -> Domain:
    test = split(target, split_seed)[1]
    mine, theirs = _hashes(domain), _hashes(target)
    if mine is None or theirs is None:
        raise RequestError(
            f"copies=drop_train: pictures of {domain.name} or {target.name} stay on disk and have no "
            "hashes; give copies=keep"
        )
    is_copy = np.isin(mine, theirs[test])
    if domain is target:
        is_copy[test] = False
    if not is_copy.any():
        return domain
    fixed = np.full(len(domain), "train", dtype="<U5")
    fixed[split(domain, split_seed)[1]] = "test"
    keep = np.flatnonzero(~is_copy)
    inputs = domain.inputs.selected(keep) if isinstance(domain.inputs, OnDisk) else domain.inputs[keep]
    return replace(
        domain, inputs=inputs, labels=domain.labels[keep], ids=domain.ids[keep], split=fixed[keep],
        groups=None if domain.groups is None else domain.groups[keep],
        metadata={name: column[keep] for name, column in domain.metadata.items()},
    )  # fmt: skip


def _shared(target: Domain, test: np.ndarray, other: Domain, items: np.ndarray) -> int | None:
    """How many test items have a copy among the items of another domain, or of the same."""
    mine, theirs = _hashes(target), _hashes(other)
    return None if mine is None or theirs is None else int(np.isin(mine[test], theirs[items]).sum())


@lru_cache(maxsize=8)
def _hashes(domain: Domain) -> np.ndarray | None:
    """uint64 [N] of the inputs alone, whatever they are called; None where they stay on disk and a loader of
    the user's own made no hashes."""
    return (
        domain.inputs.hashes
        if isinstance(domain.inputs, OnDisk | Texts)
        else item_hashes(domain.inputs.numpy())
    )


def say(tested: Iterable[tuple[Domain, tuple[Domain, ...], int, Fold | None]]) -> None:
    """What leaks from training to test, a line each on stderr: copies, and columns that tell the labels.
    tested: of runs, as `count` takes it."""
    lines = {}
    for target, sources, split_seed, fold in tested:
        copied = count(target, sources, split_seed, fold).warnings(target.name)
        columns = leaking_columns(target, split_seed, fold)
        lines |= {f"{line}; copies=drop_train leaves those out": None for line in copied}
        lines |= {
            f"{target.name}: its {column} nearly tells the label, and test items share its values": None
            for column in columns
        }
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


@lru_cache(maxsize=8)
def leaking_columns(domain: Domain, split_seed: int, fold: Fold | None) -> list[str]:
    """Metadata columns, or "group", whose value nearly tells the label of a training item, and whose values
    all test items share."""
    columns = domain.metadata | ({} if domain.groups is None else {"group": domain.groups})
    train, test = split(domain, split_seed, fold)
    if not domain.has_classes:
        return []
    labels = domain.labels.numpy()
    train = train[labels[train] >= 0]
    return [name for name, column in columns.items() if len(train) and _tells(column, labels, train, test)]


def _tells(column: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> bool:
    values, place = np.unique(column, return_inverse=True)
    if not 1 < len(values) <= len(column) / ITEMS_A_VALUE or not np.isin(place[test], place[train]).all():
        return False
    counts = np.zeros((len(values), labels.max() + 1))
    np.add.at(counts, (place[train], labels[train]), 1)
    by_value, by_itself = counts.max(axis=1).sum() / len(train), counts.sum(axis=0).max() / len(train)
    return by_value >= NEARLY > by_itself
