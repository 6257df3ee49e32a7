"""Whether a strategy, a network and the items go together, asked before anything is trained."""

import json
from functools import lru_cache
from itertools import pairwise, zip_longest
from typing import Any, cast

import torch
from hydra.utils import get_class, instantiate

from transferscope.backbones.base import Backbone
from transferscope.backbones.on_top import WithLayersOnTop
from transferscope.catalog.arguments import check_arguments
from transferscope.data import splits
from transferscope.data.augmentation import AUGMENTATIONS, BY_KORNIA, augment, kornia_module
from transferscope.data.domain import Domain
from transferscope.data.texts import Texts
from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import COMMON_KEYS, Strategy
from transferscope.strategies.own_module import OwnModule
from transferscope.tasks.base import Task
from transferscope.training.build_backbone import build_backbone, takes_columns
from transferscope.training.checks import REACHED_BY_START, class_of
from transferscope.training.config import PRETRAINING, RunConfig
from transferscope.training.reading import reader_of
from transferscope.training.text_augmentation import OF_TEXTS


def check_augmentation(c: RunConfig, strategy: type[Strategy], target: Domain, initialisation: str) -> None:
    """c: the whole config. Raises NotApplicable where a training has no images or texts to augment so,
    RequestError without the library."""
    augmentation, what = c.trainer.augmentation, None
    if augmentation == "none":
        return
    inputs = "texts" if isinstance(target.inputs, Texts) else "images" if target.is_images else "arrays"
    is_for = "texts" if augmentation in OF_TEXTS else "images"
    if inputs == "arrays":
        what = f"target {target.name} holds arrays, and images and texts alone can be augmented"
    elif inputs != is_for:
        others = OF_TEXTS if inputs == "texts" else AUGMENTATIONS[1:]
        raise NotApplicable(
            f"trainer.augmentation={augmentation}: is for {is_for}, and target {target.name} holds {inputs}; "
            f"give {', '.join(others)} or none"
        )
    elif strategy.precompute is not Strategy.precompute:
        what = f"strategy {c.strategy['name']} computes features once, from {inputs} as they are"
    elif inputs == "images" and c.backbone.get("trunk") and initialisation != "random":
        what = f"what backbone.trunk={c.backbone['trunk']} gives is computed once, from images as they are"
    if what:
        raise NotApplicable(f"trainer.augmentation={augmentation}: {what}; give trainer.augmentation=none")
    if inputs == "texts":
        _check_augmented_rows(c, initialisation)
        return
    if isinstance(augmentation, dict):
        check_transform(augmentation, splits.input_shape(target, c.image_size, c.channels))
        return
    if augmentation in BY_KORNIA:
        kornia_module(augmentation)
    if (
        augmentation == "crop_flip_color"
        and (channels := splits.input_shape(target, c.image_size, c.channels)[0]) != 3
    ):
        raise NotApplicable(
            f"trainer.augmentation={augmentation}: colour needs 3 channels, not {channels}; give "
            "trainer.augmentation=crop_flip"
        )


def _check_augmented_rows(c: RunConfig, initialisation: str) -> None:
    """Raises NotApplicable for a backbone whose rows of texts cannot be changed so, or that would not see
    it."""
    kind, name, at = cast(type[Backbone], get_class(c.backbone["_target_"])), c.backbone["name"], ""
    augmentation = c.trainer.augmentation
    if not kind.takes_tokens:
        at = f"backbone {name} takes texts as a whole, not word by word; use another backbone"
    elif issubclass(kind, WithLayersOnTop) and c.backbone.get("hidden") and initialisation != "random":
        at = (
            f"what is below the layers of backbone.hidden={c.backbone['hidden']} is computed once, from "
            "texts as they are; give backbone.hidden=[]"
        )
    elif augmentation == "neighbours" and kind.neighbours is Backbone.neighbours:
        at = f"backbone {name} has no vectors of words; use backbone=word_vectors"
    elif augmentation == "swap" and not kind.reads_order:
        at = f"to backbone {name} words are the same in any order; give delete or neighbours"
    if at:
        raise NotApplicable(f"trainer.augmentation={augmentation}: {at}, or trainer.augmentation=none")


def check_transform(augmentation: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Raises RequestError for what is no transform with its arguments, or makes something else of images."""
    key = "trainer.augmentation"
    found = class_of(key, {"_target_": "", **augmentation}, object)
    check_arguments(key, found, augmentation)
    try:
        augment(torch.zeros((2, *shape), dtype=torch.uint8), torch.zeros(2, 3), augmentation)
    except RequestError:
        raise
    except Exception as error:
        cause = error.__cause__ or error  # Hydra wraps what a constructor raises
        line = (str(cause).splitlines() or [""])[0]
        raise RequestError(
            f"{key}._target_={augmentation['_target_']}: fails on images of shape {shape} "
            f"({type(cause).__name__}: {line})"
        ) from error


def check_steps(c: RunConfig, strategy: type[Strategy], initialisation: str) -> None:
    """Raises NotApplicable where the strategy takes no step that the trainer's key is about."""
    name, trainer = c.strategy["name"], c.trainer
    asked = {
        "gradient_clip_val": trainer.gradient_clip_val is not None,
        "accumulate_grad_batches": trainer.accumulate_grad_batches > 1,
        "l1_penalty": trainer.l1_penalty > 0,
        "class_weights": trainer.class_weights != "none",
        "sampler": trainer.sampler != "shuffle",
        "lr_range_test": trainer.lr_range_test is not None,
        "devices": trainer.devices > 1,
    }
    for key in (key for key, is_asked in asked.items() if is_asked):
        at = f"trainer.{key}={getattr(trainer, key)}"
        if strategy.closed_form and initialisation not in REACHED_BY_START:
            raise NotApplicable(
                f"{at}: strategy {name} is solved in closed form and takes no step; leave the key out"
            )
        if key == "accumulate_grad_batches" and strategy.backward is not Strategy.backward:
            raise NotApplicable(f"{at}: strategy {name} makes the gradients of a step from one batch; give 1")
        if key == "lr_range_test" and (strategy.beside_scratch or issubclass(strategy, OwnModule)):
            why = "trains two networks at one rate" if strategy.beside_scratch else "has its own optimiser"
            raise NotApplicable(f"{at}: strategy {name} {why}; leave the key out")
        if key == "lr_range_test" and isinstance(trainer.schedule, dict):
            raise NotApplicable(f"{at}: a schedule of torch's has rates of its own; give cosine or constant")


def check_devices(c: RunConfig, strategy: type[Strategy], device: str) -> None:
    """Raises NotApplicable where one run cannot be trained by several processes."""
    trainer, name = c.trainer, c.strategy["name"]
    if trainer.devices == 1:
        return
    pools = {sight.replace("target_inputs", "unlabelled").partition("_")[0] for sight in strategy.sees}
    differing: dict[str, tuple[Any, Any]] = {
        "trainer.threads": (trainer.threads, 1), "trainer.patience": (trainer.patience, None),
        "trainer.lr_range_test": (trainer.lr_range_test, None), "trainer.callbacks": (trainer.callbacks, []),
        "trainer.loggers": (trainer.loggers, []), "trainer.class_weights": (trainer.class_weights, "none"),
    }  # fmt: skip
    why = ""
    if device != "cpu":
        why = "is for CPU processes; give trainer.accelerator=cpu, or 1"
    elif len(pools) > 1 or strategy.beside_scratch:
        why = f"strategy {name} learns from several pools, and one can be dealt out; give 1"
    else:
        for key, (value, needed) in differing.items():
            if value != needed:
                why = f"goes with {key}={json.dumps(needed)} alone, not {json.dumps(value)}"
    if why:
        raise NotApplicable(f"trainer.devices={trainer.devices}: {why}")


def check_columns(
    c: RunConfig,
    strategy: type[Strategy],
    target: Domain,
    sources: tuple[Domain, ...],
    tested_also: tuple[Domain, ...] = (),
) -> None:
    """Raises NotApplicable for a table that a network of numbers cannot take, and for tables whose columns do
    not stand for the same."""
    others = [("source", domain) for domain in sources] + [("test_also", domain) for domain in tested_also]
    serves = takes_columns(get_class(c.backbone["_target_"])) or strategy.takes_tables
    for role, domain in (("target", target), *others):
        what = [f"{kind} in {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
                for kind, names in (("categories", domain.categorical), ("missing values", domain.gaps))
                if names]  # fmt: skip
        if what and not serves:
            raise NotApplicable(
                f"backbone={c.backbone['name']}: takes numbers alone, and {role} {domain.name} has "
                f"{' and '.join(what)}; give backbone=tabular"
            )
    for role, domain in others:
        if difference := columns_apart(domain, target):
            raise NotApplicable(f"{role}={domain.name}: {difference}")


def columns_apart(source: Domain, target: Domain) -> str:
    """What the columns of one table are and those of the other are not, or nothing. Those of two tables of
    numbers may have other names, in the order of which they are taken for each other."""
    ours, theirs = target.columns or {}, source.columns or {}
    if not (target.categorical or source.categorical or set(ours) == set(theirs)):
        return ""
    if list(ours) != list(theirs):
        apart = next((a, b) for a, b in zip_longest(theirs, ours, fillvalue="nothing") if a != b)
        return (
            f"its columns are not those of target {target.name} in their order: {apart[0]} stands in place "
            f"of {apart[1]}"
        )
    for name in ours:
        if tuple(ours[name]) != tuple(theirs[name]):
            together = list(dict.fromkeys([*ours[name], *theirs[name]]))
            return (
                f"column {name} has other categories than in target {target.name}; list them in both yamls, "
                f"categorical: {{{name}: [{', '.join(together[:12])}{', …' if len(together) > 12 else ''}]}}"
            )
    return ""


def check_network(c: RunConfig, target: Domain, initialisation: str) -> None:
    """c: the whole config. Raises what backbone and strategy have against each other or the inputs: both are
    built, without weights."""
    takes = cast(type[Backbone], get_class(c.backbone["_target_"])).takes
    given = str(target.inputs.dtype).removeprefix("torch.")
    if given not in takes and "text" in (given, *takes):  # else the network says better what it takes
        raise _taking_others(c, takes, given, target)
    shape = splits.input_shape(target, c.image_size, c.channels)
    backbone = {key: value for key, value in c.backbone.items() if key != "name"}
    backbone |= {"weights": "random"} if "weights" in backbone else {}
    strategy = {key: value for key, value in c.strategy.items() if key not in COMMON_KEYS}
    if refusal := _refusal(
        json.dumps(
            [backbone, shape, target.columns, target.task.outputs, strategy, initialisation != "random"]
        ),
        target.task,
    ):
        raise type(refusal)(f"{refusal} (backbone={c.backbone['name']})")
    if takes and given not in takes:
        raise _taking_others(c, takes, given, target)


def _taking_others(c: RunConfig, takes: tuple[str, ...], given: str, target: Domain) -> NotApplicable:
    what = " or ".join(takes or ("numbers",))
    return NotApplicable(
        f"backbone={c.backbone['name']}: takes {what} inputs, those of target {target.name} are {given}"
    )


@lru_cache(maxsize=256)
def _refusal(asked: str, task: Task) -> RequestError | None:
    backbone, shape, columns, outputs, strategy, is_transferred = json.loads(asked)
    for place in ("meta", "cpu"):  # what some network cannot do without memory is no refusal
        try:
            with torch.device(place):
                network = Classifier(build_backbone(backbone, shape, columns), outputs)
                if is_transferred:
                    network.backbone.freeze_trunk()
                built = instantiate(strategy, network=network, _convert_="all")
            return _unserved(built.needs, task)
        except Exception as error:
            cause = error.__cause__ or error  # Hydra wraps what a constructor raises
    if isinstance(cause, RequestError):
        return cause
    line = (str(cause).splitlines() or [""])[0]
    return RequestError(
        f"inputs of shape {tuple(shape)}, {outputs} outputs: the network cannot be built "
        f"({type(cause).__name__}: {line})"
    )


def _unserved(needs: frozenset[str], task: Task) -> NotApplicable | None:
    if lacking := sorted(needs - task.gives):
        return NotApplicable(
            f"needs {' and '.join(lacking)}, and a {task.name} gives {' and '.join(sorted(task.gives))}"
        )
    return None


def check_task(c: RunConfig, strategy: type[Strategy], target: Domain, sources: tuple[Domain, ...]) -> None:
    """Raises NotApplicable for what the target's task, or that of the sources, does not go with."""
    task, name, trainer = target.task, c.strategy["name"], c.trainer
    if refusal := _unserved(strategy.needs, task):
        raise NotApplicable(f"strategy={name}: {refusal}; target {target.name} is one")
    if trainer.loss not in ("auto", *task.losses):
        raise NotApplicable(
            f"trainer.loss={trainer.loss}: target {target.name} is a {task.name}; allowed: auto, "
            f"{', '.join(task.losses)}"
        )
    of_classes = {"label_smoothing": 0.0, "class_weights": "none", "sampler": "shuffle"}
    for key, plain in of_classes.items():
        if "classes" not in task.gives and (given := getattr(trainer, key)) != plain:
            raise NotApplicable(
                f"trainer.{key}={given}: is for classes, and target {target.name} is a {task.name}; give "
                f"{plain}"
            )
    if "classes" not in task.gives and c.reverse_validation:
        raise NotApplicable(f"reverse_validation=true: is for classes, and {target.name} is a {task.name}")
    if len({source.task.name for source in sources}) > 1:
        raise RequestError(
            f"source={c.source}: sources of several tasks cannot be one; give those of one task"
        )
    for first, other in pairwise(sources):
        if not (first.has_classes or first.task.has_outputs_of(other.task)):
            predicted = [", ".join(domain.quantities + domain.tags) for domain in (first, other)]
            raise RequestError(
                f"source={c.source}: what is predicted must be the same in all; {first.name} has "
                f"{predicted[0]}, {other.name} has {predicted[1]}"
            )


def check_outputs(strategy: type[Strategy], name: str, target: Domain, sources: tuple[Domain, ...]) -> None:
    """Raises NotApplicable where a strategy uses labels of the source as the target's, and these are
    others."""
    if not sources or not (difference := source_task(sources).difference(target.task)):
        return
    joined = "+".join(source.name for source in sources)
    if strategy.shares_classes:
        what = "classes" if target.classes and sources[0].classes else "task and quantities"
        if target.tags or sources[0].tags:
            what = "labels" if target.tags and sources[0].tags else "task"
        raise NotApplicable(
            f"source={joined}: strategy {name} needs the {what} of target {target.name}; {difference}"
        )
    if source_task(sources).name != target.task.name and "source_labels" in strategy.sees:
        raise NotApplicable(
            f"source={joined}: strategy {name} learns from both domains' labels, and these are of two tasks "
            f"({difference}); what starts from a source model takes its backbone alone"
        )


def source_task(sources: tuple[Domain, ...]) -> Task:
    first, *others = (source.task for source in sources)
    return first.joined(others)


def check_tested_also(domains: tuple[Domain, ...], target: Domain, c: RunConfig) -> None:
    """Raises RequestError for a domain that the model of a run cannot be scored on."""
    names = [domain.name for domain in domains]
    for name, domain in zip(names, domains, strict=True):
        if name == target.name or names.count(name) > 1:
            raise RequestError(
                f"test_also={name}: tested already; give other domains than the target, once each"
            )
        if not domain.task.has_outputs_of(target.task):
            if not (domain.classes and target.classes):
                raise RequestError(
                    f"test_also={name}: what is predicted must be what target {target.name} has; "
                    f"{domain.task.difference(target.task)}"
                )
            differing = sorted(set(domain.classes) ^ set(target.classes))
            raise RequestError(
                f"test_also={name}: its classes must be those of target {target.name}; not both have "
                f"{', '.join(differing[:5])}{' …' if len(differing) > 5 else ''}"
            )
    if domains and c.fold is not None:
        raise RequestError(
            f"test_also={','.join(names)}: every fold would test all their items; leave fold out"
        )


def check_texts(
    c: RunConfig,
    strategy: type[Strategy],
    target: Domain,
    sources: tuple[Domain, ...],
    also: tuple[Domain, ...],
) -> None:
    """Raises RequestError where some domains hold texts and others do not, or another number an item;
    NotApplicable for a strategy that would add to the numbers of tokens."""
    has_tokens = isinstance(target.inputs, Texts) and _takes_tokens(c)
    if strategy.changes_inputs and has_tokens:
        raise NotApplicable(
            f"strategy={c.strategy['name']}: changes inputs a little, and the tokens of backbone "
            f"{c.backbone['name']} are no magnitudes; use backbone=tfidf, or another strategy"
        )
    if strategy.needs_texts and not isinstance(target.inputs, Texts):
        raise NotApplicable(
            f"strategy={c.strategy['name']}: is for texts, and the inputs of target {target.name} are none"
        )
    what = {0: "no texts", 1: "a text an item"}
    own = _texts_an_item(target)
    for key, domains in (("source", sources), ("test_also", also)):
        for domain in domains:
            if (others := _texts_an_item(domain)) != own:
                raise RequestError(
                    f"{key}={domain.name}: holds {what.get(others, f'{others} texts an item')}, target "
                    f"{target.name} {what.get(own, f'{own} texts an item')}; give domains that hold the same"
                )


def _takes_tokens(c: RunConfig) -> bool:
    return cast(type[Backbone], get_class(c.backbone["_target_"])).takes_tokens


def check_layers_on_top(c: RunConfig, strategy: type[Strategy], initialisation: str) -> None:
    """Raises NotApplicable for a head on layers that nothing has trained."""
    if c.backbone.get("hidden") and initialisation == "pretrained" and strategy.trains_head_alone:
        raise NotApplicable(
            f"backbone.hidden={c.backbone['hidden']}: strategy {c.strategy['name']} trains the head alone, "
            "and no source has trained these layers; give backbone.hidden=[] or source=DOMAIN"
        )


def _texts_an_item(domain: Domain) -> int:
    return domain.inputs.shape[1] if isinstance(domain.inputs, Texts) else 0


def check_pretraining(c: RunConfig, initialisation: str, target: Domain, sources: tuple[Domain, ...]) -> None:
    """Raises NotApplicable where domains or backbone have nothing to pre-train on or with."""
    if initialisation not in PRETRAINING:
        return
    asked, else_give = f"initialisation={initialisation}", "give source, pretrained or random"
    kind = "texts" if initialisation == "mlm" else "pictures"
    for domain in (target, *sources):
        holds = "texts" if isinstance(domain.inputs, Texts) else "pictures" if domain.is_images else "arrays"
        if holds != kind:
            raise NotApplicable(f"{asked}: learns from {kind}, {domain.name} holds {holds}; {else_give}")
    if initialisation != "mlm":
        return
    reader = reader_of(c.backbone)
    if reader is None or reader.mask is None:
        raise NotApplicable(
            f"{asked}: backbone {c.backbone['name']} has no token that stands for a hidden one; {else_give}, "
            "or backbone=small_transformer or an encoder such as BERT"
        )
    if c.backbone.get("hidden"):
        raise NotApplicable(
            f"{asked}: what is below backbone.hidden={c.backbone['hidden']} stays as it is; give "
            "backbone.hidden=[]"
        )


def check_budget(target: Domain, sees: frozenset[str], c: RunConfig) -> None:
    if "target_labels" in sees:
        train, _ = splits.split(target, c.split_seed, c.in_fold)
        splits.labelled_subset(target, train, c.label_budget, c.seed)


def check_protocol(target: Domain, sees: frozenset[str], c: RunConfig) -> None:
    if target.whole and "target_inputs" in sees and c.protocol == "inductive":
        raise NotApplicable(
            f"protocol=inductive: all labelled items of target {target.name} are tested on; give "
            "protocol=transductive"
        )


def check_selection(
    c: RunConfig, sees: frozenset[str], target: Domain, sources: tuple[Domain, ...], stops_early: bool
) -> None:
    """Raises NotApplicable where the rule has nothing to choose by."""
    if c.selection == "last" or (c.keep == "none" and not stops_early):
        return
    budget, least, of = c.label_budget, splits.VALIDATION_FROM, "labels a class"
    if not target.has_classes:
        least, of = splits.VALIDATION_FROM_ITEMS, "labelled items"
        if c.selection not in ("source_val", "target_val"):
            raise NotApplicable(
                f"selection={c.selection}: validators judge class probabilities, and target {target.name} "
                "has none; give last, target_val or source_val"
            )
    if c.selection == "target_val" and ("target_labels" not in sees or (budget != "full" and budget < least)):
        raise NotApplicable(
            f"selection=target_val: below {least} {of} none is set aside (label_budget={budget})"
        )
    if c.selection == "source_val" and "source_inputs" not in sees:
        raise NotApplicable(f"selection=source_val: strategy {c.strategy['name']} sees no source")
    if c.selection == "source_val" and not share_outputs(target, sources):
        what = "classes" if target.has_classes else "labels" if target.tags else "quantities"
        raise NotApplicable(
            f"selection=source_val: the head has the {what} of target {target.name}, which are not the "
            "source's"
        )


def check_reversible(
    strategy: type[Strategy],
    name: str,
    sees: frozenset[str],
    initialisation: str,
    target: Domain,
    sources: tuple[Domain, ...],
) -> None:
    needed = {
        "sees the source with its labels and the target's inputs": {
            "source_inputs",
            "source_labels",
            "target_inputs",
        }
        <= sees,
        "needs no target labels": not strategy.needs_target_labels,
        "starts from no source model": initialisation not in REACHED_BY_START,
        "shares its classes with the source": share_outputs(target, sources),
    }
    if lacking := [what for what, holds in needed.items() if not holds]:
        raise NotApplicable(
            f"reverse_validation=true: only what {lacking[0]} can be run backwards; strategy {name} does not"
        )


def share_outputs(target: Domain, sources: tuple[Domain, ...]) -> bool:
    """Whether a head of the sources is one of the target."""
    return bool(sources) and source_task(sources).has_outputs_of(target.task)
