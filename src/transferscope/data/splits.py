"""Which items of which domain one run may touch, and what a strategy is handed of them.

Every draw has a generator of its own: splits from `split_seed` (equal for all seeds; folds from `seed` too),
the labelled subset from `seed` and the class alone, so that subsets are nested over budgets and the same for
every strategy of a seed."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from transferscope.data.domain import UNLABELLED, Domain, fit_images
from transferscope.data.on_disk import OnDisk, joined
from transferscope.data.texts import Reader, Texts, together
from transferscope.errors import NotApplicable, RequestError
from transferscope.tasks.base import Task
from transferscope.tasks.classification import Classification, class_names
from transferscope.tasks.metrics import Errors
from transferscope.tasks.regression import Regression

VALIDATION_FROM = 5  # labels a class; below, none is set aside
VALIDATION_FROM_ITEMS = 20  # labelled items where there are no classes
SOURCE_VALIDATION_SHARE = 0.1
VALIDATOR_ITEMS = 2000  # unlabelled target items that label-free validators may read
# of the source's training items, and of its held-out ones, whose features a run may store
FEATURE_ITEMS = 2000


class LabelledData(NamedTuple):
    inputs: Tensor | OnDisk  # [n, ...]
    labels: Tensor  # int64 [n], or float32 [n, T], of several labels an item 1 or 0
    domain: Tensor  # int64 [n], which source an item comes from (0 for the target)

    def taken(self, items: Tensor | np.ndarray) -> "LabelledData":
        """Those of some indices."""
        return LabelledData(self.inputs[items], self.labels[items], self.domain[items])


class Pools(NamedTuple):
    """All that a strategy is handed. A pool it does not see is None; target labels come with `target`
    alone."""

    source: LabelledData | None = None
    target: LabelledData | None = None
    unlabelled: Tensor | OnDisk | None = None  # target inputs [n, ...]
    # the labelled target items set aside within the budget; never in a batch
    validation: LabelledData | None = None


class Fold(NamedTuple):
    """One of `of` parts that a seed cuts a target into, which is its test set: over the folds of a seed every
    labelled item is tested once."""

    number: int
    of: int
    seed: int


class FeatureItems(NamedTuple):
    """The items whose features `keep_features` stores, which is what `dev` and `iwcv` are made of; no target
    label, no test input."""

    source: Tensor | OnDisk  # [n, ...], training items
    source_val: Tensor | OnDisk  # [v, ...], held out
    source_val_labels: Tensor  # int64 [v]
    target: Tensor | OnDisk  # [m, ...], training items


def generator(*key: object) -> np.random.Generator:
    """A stream of its own for every key, the same on every machine."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def split(domain: Domain, split_seed: int, fold: Fold | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(train, test) item indices. Official splits are kept; of the rest a share of `test_fraction` of each
    class (of each quarter of numbers, of the items of each rarest label) goes to test, or the fold.

    Items of one group stay together; unlabelled items are always train.
    """
    strata = domain.task.strata(domain.labels.numpy())
    if domain.whole and fold is None:
        return np.flatnonzero(~domain.is_labelled), np.flatnonzero(domain.is_labelled)
    open_items = np.flatnonzero((domain.split == "") & domain.is_labelled)
    if fold is not None:
        test = _of_fold(domain, open_items, split_seed, fold)
        return np.setdiff1d(np.arange(len(domain)), test), test
    unit = domain.ids if domain.groups is None else domain.groups
    is_test = domain.split == "test"
    if domain.groups is None:
        for stratum, name in enumerate(strata.names):
            items = open_items[strata.of[open_items] == stratum]
            order = generator("split", split_seed, domain.name, name).permutation(len(items))
            is_test[items[order[: round(domain.test_fraction * len(items))]]] = True
    elif len(open_items):
        names = np.unique(unit[open_items])
        order = generator("split", split_seed, domain.name).permutation(len(names))
        chosen = names[order[: round(domain.test_fraction * len(names))]]
        is_test[open_items[np.isin(unit[open_items], chosen)]] = True
    is_test &= domain.is_labelled
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def _of_fold(domain: Domain, open_items: np.ndarray, split_seed: int, fold: Fold) -> np.ndarray:
    """Items of one fold: each class, or else the groups, dealt out over the folds in an order of the seed's
    own."""
    if np.any(domain.split == "test"):
        raise NotApplicable(
            f"fold={fold.number}: target {domain.name} has an official test split; leave fold out"
        )
    key = "fold", split_seed, fold.seed, domain.name
    if domain.groups is None:
        strata = domain.task.strata(domain.labels.numpy())
        dealt = [
            generator(*key, name).permutation(open_items[strata.of[open_items] == stratum])
            for stratum, name in enumerate(strata.names)
        ]
        return np.sort(np.concatenate(dealt)[fold.number :: fold.of])
    groups = domain.groups[open_items]
    return open_items[np.isin(groups, generator(*key).permutation(np.unique(groups))[fold.number :: fold.of])]


def labelled_subset(
    domain: Domain, train: np.ndarray, budget: int | str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(train, validation) items within a budget of `budget` labels a class ("full": all); where there are no
    classes, of `budget` labelled items. Nested over budgets.

    From 5 labels a class on every fifth drawn item is set aside for validation, so both parts are nested too.
    Raises NotApplicable for a budget that a class cannot meet, RequestError for a class that has no label in
    training. A class that the domain has no item of is passed over."""
    if not domain.has_classes:
        return _labelled_items(domain, train, budget, seed)
    labels = domain.labels.numpy()
    chosen, held_back = [], []
    for c in _with_items(domain):
        name, items = domain.classes[c], train[labels[train] == c]
        if len(items) == 0:
            raise RequestError(f"target={domain.name}: class '{name}' has no labelled training item")
        count = len(items) if budget == "full" else budget
        if count > len(items):
            raise NotApplicable(
                f"label_budget={budget}: class '{name}' of target {domain.name} has {len(items)} labelled "
                f"training items; give at most {largest_budget(domain, train)} or 'full'"
            )
        drawn = items[generator("labels", seed, domain.name, name).permutation(len(items))[:count]]
        is_held_back = (np.arange(count) % 5 == 4) & (count >= VALIDATION_FROM)
        chosen.append(drawn[~is_held_back])
        held_back.append(drawn[is_held_back])
    return np.concatenate(chosen), np.concatenate(held_back)


def _labelled_items(
    domain: Domain, train: np.ndarray, budget: int | str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Dealt out over the strata of the training items by turns, so that few items span the range, or have the
    labels, too. From 20 on every fifth is set aside."""
    items = train[domain.is_labelled[train]]
    count = len(items) if budget == "full" else int(budget)
    if not len(items):
        raise RequestError(f"target={domain.name}: no training item has a label")
    if count > len(items):
        raise NotApplicable(
            f"label_budget={budget}: target {domain.name} has {len(items)} labelled training items; give at "
            f"most {len(items)} or 'full'"
        )
    strata = domain.task.strata(domain.labels.numpy()[items]).of
    turns = []
    for stratum in np.unique(strata):
        drawn = items[strata == stratum]
        drawn = drawn[generator("labels", seed, domain.name, int(stratum)).permutation(len(drawn))]
        places = (np.arange(len(drawn)) + 0.5) / len(drawn)  # of equal shares at any count
        turns.append((places, np.full(len(drawn), stratum), drawn))
    places, of, drawn = (np.concatenate(parts) for parts in zip(*turns, strict=True))
    drawn = drawn[np.lexsort((of, places))][:count]
    is_held_back = (np.arange(count) % 5 == 4) & (count >= VALIDATION_FROM_ITEMS)
    return drawn[~is_held_back], drawn[is_held_back]


def largest_budget(domain: Domain, train: np.ndarray) -> int:
    """How many labelled items the class has that has fewest of them, of those that the domain has items of;
    where there are no classes, how many there are."""
    if not domain.has_classes:
        return int(domain.is_labelled[train].sum())
    labels = domain.labels.numpy()[train]
    return min(int(np.sum(labels == c)) for c in _with_items(domain))


def _with_items(domain: Domain) -> list[int]:
    """The classes that have an item, for all that is known: where an item has no label it may be of any
    class."""
    there = domain.labels.unique().tolist()
    return list(range(len(domain.classes))) if UNLABELLED in there else there


@dataclass(frozen=True)
class EvaluationSet:
    """Items that are scored: training hands the inputs to the network, only the record ever reads the
    labels."""

    inputs: Tensor | OnDisk
    labels: Tensor
    ids: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None
    metadata: dict[str, np.ndarray] = field(default_factory=dict)  # columns of the domain, for subgroups
    errors: Errors | None = None  # what those of predicted numbers are told and judged in


@dataclass(frozen=True)
class RunData:
    """One target, its sources, and what each part of a run gets of them."""

    target: Domain
    sources: tuple[Domain, ...]
    task: Task
    source_task: Task  # of all sources together
    input_shape: tuple[int, ...]
    pools: Pools
    evaluated: dict[str, EvaluationSet] = field(default_factory=dict)  # by "{domain}/{split}"
    subset: str | None = None  # hash of the labelled target items
    # target training inputs, if any, in an order that is the same for all strategies and seeds
    validator_inputs: Tensor | OnDisk | None = None
    # labelled items of `target` and `source`, those set aside as well
    class_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    # mean and median [T] of theirs where there are no classes: of labels, 1 or 0, the mean is a share
    centers: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    reader: Reader | None = None  # which made the inputs of texts (training/reading.py)

    @property
    def samples(self) -> dict[str, int]:
        source, target, unlabelled, _ = self.pools
        held_back = self.evaluated.get(f"{self.target.name}/val")
        return {
            "source": 0 if source is None else len(source.labels),
            "target_labelled": 0 if target is None else len(target.labels),
            "target_val": 0 if held_back is None else len(held_back.labels),
            "target_unlabelled": 0 if unlabelled is None else len(unlabelled),
        }

    def held_out(self) -> tuple[Tensor | OnDisk, Tensor]:
        """Inputs [v, ...] and labels [v] of all the sources' validation items, where source and target share
        their classes."""
        held = [
            self.evaluated[name]
            for name in (f"{source.name}/val" for source in self.sources)
            if name in self.evaluated
        ]
        if not held:
            raise RequestError(
                f"source={'+'.join(s.name for s in self.sources)}: fewer than 6 labelled items, too few to "
                "hold one out"
            )
        return joined([items.inputs for items in held]), torch.cat([items.labels for items in held])

    def feature_items(self, split_seed: int) -> FeatureItems:
        """At most 2,000 of each kind, the same for every seed; for a strategy that is handed the source's
        inputs."""
        val, labels = self.held_out()
        drawn = [
            torch.from_numpy(generator("feature_items", split_seed, part).permutation(size)[:FEATURE_ITEMS])
            for part, size in (("train", len(self.pools.source.labels)), ("val", len(labels)))
        ]
        return FeatureItems(
            self.pools.source.inputs[drawn[0]], val[drawn[1]], labels[drawn[1]], self.validator_inputs
        )


def input_shape(target: Domain, image_size: int | None, channels: int | None) -> tuple[int, ...]:
    """(C, H, W) or (d,) of what a network takes."""
    shape = tuple(target.inputs.shape[1:])
    return (
        (channels or shape[0], image_size or shape[-1], image_size or shape[-1])
        if target.is_images
        else shape
    )


def prepare(
    target: Domain,
    sources: tuple[Domain, ...],
    sees: frozenset[str],
    label_budget: int | str,
    seed: int,
    split_seed: int,
    *,
    protocol: str = "inductive",
    source_label_noise: float = 0.0,
    image_size: int | None = None,
    channels: int | None = None,
    fold: Fold | None = None,
    tested_also: tuple[Domain, ...] = (),
    learns_from_source: bool = True,
    loss: str = "auto",
) -> RunData:
    """Cut the domains to what a strategy that sees `sees` may use, with every image brought to one size.

    tested_also: domains whose test items are scored too; none of their items is trained on, unless such a
    domain is a source as well, whose training items are. image_size, channels: None takes the target's own.
    learns_from_source: whether labels of the source reach the run, by its pool or by a source model. loss: of
    the task's, `auto` for its own. Where source and target share their classes, a tenth of each source is
    evaluated too, also for a strategy that only starts from the source model: what it forgets is told by
    it."""
    shape = input_shape(target, image_size, channels)
    train, test, tested, watched = _of_every_seed(target, split_seed, fold, shape)
    evaluated = {f"{target.name}/test": tested}
    for domain in tested_also:
        evaluated[f"{domain.name}/test"] = _test_items(domain, split_seed, shape)
    labelled, validation, subset, class_counts, centers = None, None, None, {}, {}
    if "target_labels" in sees:
        chosen, held_back = labelled_subset(target, train, label_budget, seed)
        labelled = LabelledData(
            fitted(target, chosen, shape), target.labels[chosen], torch.zeros(len(chosen), dtype=torch.int64)
        )
        subset = hashlib.blake2b(
            "\n".join(sorted(target.ids[np.r_[chosen, held_back]])).encode(), digest_size=8
        ).hexdigest()
        known = target.labels[np.r_[chosen, held_back]]
        if not target.has_classes:
            centers["target"] = _centers(known)
        else:
            class_counts["target"] = _counts(known, target.classes)
        if len(held_back):
            held = evaluated[f"{target.name}/val"] = _evaluated(target, held_back, shape)
            validation = LabelledData(
                held.inputs, held.labels, torch.zeros(len(held_back), dtype=torch.int64)
            )
    unlabelled = None
    if "target_inputs" in sees:
        unlabelled = fitted(*unlabelled_target(target, split_seed, fold, protocol), shape)
    first, *others = [source.task for source in sources] or [Classification(())]
    source_task, task = first.joined(others), target.task
    learnt = [] if labelled is None else [labelled.labels]
    source = None
    if sources:
        source, source_evaluated = source_pool(
            sources, source_task, seed, split_seed, source_label_noise, shape
        )
        held_out_labels = [held.labels for held in source_evaluated.values()]
        known = torch.cat([source.labels, *held_out_labels])
        if isinstance(source_task, Classification):
            class_counts["source"] = _counts(known, class_names(source_task))
        else:
            centers["source"] = _centers(known)
        if isinstance(source_task, Regression):
            source_task = source_task.minimising(loss).fitted([source.labels])
            if learns_from_source and target.quantities:
                learnt.append(source.labels)
        if source_task.has_outputs_of(target.task):
            evaluated |= source_evaluated
    if "source_inputs" not in sees:
        source = None
    elif "source_labels" not in sees:
        source = source._replace(labels=_without_labels(source.labels))
    if isinstance(task, Regression):
        spread = () if tested.errors is None else tuple(tested.errors.spread.tolist())
        task = replace(task.minimising(loss), spread=spread).fitted(learnt)
    pools = Pools(source, labelled, unlabelled, validation)
    return RunData(
        target,
        sources,
        task,
        source_task,
        tuple(shape),
        pools,
        evaluated,
        subset,
        watched,
        class_counts,
        centers,
    )


def _counts(labels: Tensor, classes: tuple[str, ...]) -> dict[str, int]:
    """Items without a label, −1, are not counted; without any, labels are empty and of whatever type."""
    return dict(
        zip(classes, torch.bincount(labels[labels >= 0].long(), minlength=len(classes)).tolist(), strict=True)
    )


def _centers(numbers: Tensor) -> dict[str, list[float]]:
    """Of labels [n, T]."""
    values = numbers.double().numpy()
    return {"mean": values.mean(0).tolist(), "median": np.median(values, axis=0).tolist()}


@lru_cache(maxsize=1)
def _of_every_seed(
    target: Domain, split_seed: int, fold: Fold | None, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, EvaluationSet, Tensor | None]:
    """Training items, test items, the latter as they are evaluated, and the inputs that label-free validators
    read: cut out once for the runs of a process that share them."""
    train, test = split(target, split_seed, fold)
    if len(test) == 0:
        raise RequestError(f"target={target.name}: no labelled item is left to test on")
    watched = generator("validator_items", split_seed, target.name).permutation(train)[:VALIDATOR_ITEMS]
    return (
        train,
        test,
        _evaluated(target, test, shape, train=train if fold is None else None),
        fitted(target, watched, shape) if len(watched) else None,
    )


@lru_cache(maxsize=8)
def _test_items(domain: Domain, split_seed: int, shape: tuple[int, ...]) -> EvaluationSet:
    train, items = split(domain, split_seed)
    if len(items) == 0:
        raise RequestError(f"test_also={domain.name}: no labelled item is left to test on")
    return _evaluated(domain, items, shape, "test_also", train)


def source_pool(
    sources: tuple[Domain, ...],
    task: Task,
    seed: int,
    split_seed: int,
    label_noise: float,
    shape: tuple[int, ...],
) -> tuple[LabelledData, dict[str, EvaluationSet]]:
    """The labelled training items of all sources together, and a tenth of each kept for validation. task: of
    all of them.

    label_noise: this share of the labels is permuted among themselves, another permutation for each seed; 1
    leaves inputs, class sizes and compute as they are and takes the labels' meaning."""
    parts, evaluated = [], {}
    for number, source in enumerate(sources):
        kept, val = _set_aside(source, _train_of_source(source, split_seed), split_seed)
        labels = task.translated(source.labels[kept], source.task)
        noise = generator("source_label_noise", seed, source.name)
        noisy = noise.permutation(len(labels))[: round(label_noise * len(labels))]
        labels[noisy] = labels[noise.permutation(noisy)]
        parts.append(LabelledData(fitted(source, kept, shape), labels, torch.full((len(kept),), number)))
        if len(val):
            held = _evaluated(source, val, shape)
            evaluated[f"{source.name}/val"] = replace(
                held,
                labels=task.translated(held.labels, source.task),
                classes=class_names(task) if source.has_classes else (),
            )
    return _together(parts), evaluated


def unlabelled_pool(
    sources: tuple[Domain, ...],
    split_seed: int,
    shape: tuple[int, ...],
    target: tuple[Domain, np.ndarray] | None = None,
) -> LabelledData:
    """The training items of all sources together without their labels, those that never had one among them,
    less those kept for validation; with those of the target that `unlabelled_target` gives."""
    chosen = [] if target is None else [target]
    for source in sources:
        train = _train_of_source(source, split_seed)
        chosen.append((source, np.setdiff1d(train, _set_aside(source, train, split_seed)[1])))
    return _together(
        [
            LabelledData(
                fitted(domain, items, shape),
                _without_labels(domain.labels[items]),
                torch.full((len(items),), number),
            )
            for number, (domain, items) in enumerate(chosen)
        ]
    )


def unlabelled_target(
    target: Domain, split_seed: int, fold: Fold | None, protocol: str
) -> tuple[Domain, np.ndarray]:
    """The target with the items whose inputs may be seen."""
    train, test = split(target, split_seed, fold)
    return target, np.r_[train, test] if protocol == "transductive" else train


def _train_of_source(source: Domain, split_seed: int) -> np.ndarray:
    return np.arange(len(source)) if source.whole else split(source, split_seed)[0]


def _set_aside(source: Domain, train: np.ndarray, split_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The labelled of a source's training items: (to train on, kept for validation), the latter a tenth."""
    train = train[source.is_labelled[train]]
    if source.whole:
        return train, train[:0]
    draws = generator("source_val", split_seed, source.name)
    is_val = np.zeros(len(train), dtype=bool)
    is_val[draws.permutation(len(train))[: round(SOURCE_VALIDATION_SHARE * len(train))]] = True
    return train[~is_val], train[is_val]


def _evaluated(
    domain: Domain,
    items: np.ndarray,
    shape: tuple[int, ...],
    key: str = "source",
    train: np.ndarray | None = None,
) -> EvaluationSet:
    """train: the domain's training items, None for all of it: what errors are told and judged in is of
    these."""
    groups = None if domain.groups is None else domain.groups[items]
    metadata = {name: column[items] for name, column in domain.metadata.items()}
    return EvaluationSet(
        fitted(domain, items, shape, key),
        domain.labels[items],
        domain.ids[items],
        domain.classes,
        groups,
        metadata,
        _errors(domain, train) if domain.quantities else None,
    )


def _errors(domain: Domain, train: np.ndarray | None) -> Errors:
    """Of folds, every one of which trains on other items, and of a domain that is whole, all labelled
    items: one value for all runs."""
    items = np.arange(len(domain)) if train is None or domain.whole else train
    items = items[domain.is_labelled[items]]
    if not len(items):  # an official split that leaves nothing to train on
        items = np.flatnonzero(domain.is_labelled)
    return Errors.of(domain.quantities, domain.unit, domain.labels.numpy()[items])


def _without_labels(labels: Tensor) -> Tensor:
    return torch.full_like(labels, torch.nan if labels.is_floating_point() else UNLABELLED)


def _together(parts: list[LabelledData]) -> LabelledData:
    inputs, labels, domain = zip(*parts, strict=True)
    texts = [part for part in inputs if isinstance(part, Texts)]
    every = cast(Tensor, together(texts)) if texts else joined(inputs)
    return LabelledData(every, torch.cat(labels), torch.cat(domain))


def fitted(domain: Domain, items: np.ndarray, shape: tuple[int, ...], key: str = "source") -> Tensor | OnDisk:
    """The inputs of some items, images brought to (channels, size, size): those that stay on disk whenever
    they are read. Texts are still Texts, whatever the type says: rows take their place before anything asks
    for more than some of them (training/reading.py)."""
    if isinstance(domain.inputs, Texts):
        _check_shape(domain, shape, key)
        return cast(Tensor, domain.inputs[items])
    if domain.is_images and len(shape) == 3:
        if isinstance(domain.inputs, OnDisk):
            return domain.inputs.view(items).mapped(
                lambda images: fit_images(images, shape[-1], shape[0]), shape
            )
        return fit_images(domain.inputs[items], shape[-1], shape[0])
    _check_shape(domain, shape, key)
    return domain.inputs.view(items) if isinstance(domain.inputs, OnDisk) else domain.inputs[items]


def _check_shape(domain: Domain, shape: tuple[int, ...], key: str) -> None:
    if domain.inputs.shape[1:] != tuple(shape):
        raise RequestError(
            f"{key}={domain.name}: inputs of shape {tuple(domain.inputs.shape[1:])} beside a target of "
            f"shape {tuple(shape)}"
        )
