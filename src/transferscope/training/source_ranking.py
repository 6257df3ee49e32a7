"""What distances and transferability scores say of candidate sources before anything is trained on the
target."""

import hashlib
import inspect
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, cast

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from transferscope import distances, transferability
from transferscope.catalog import yamls
from transferscope.data import splits
from transferscope.data.domain import fit_images
from transferscope.data.load import load_domain
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.store import record
from transferscope.store.schema import RunRecord, mismatch
from transferscope.tasks.classification import Classification, class_names
from transferscope.training import reading, source_models
from transferscope.training.build_network import build_network
from transferscope.training.checks import check_sections, check_values
from transferscope.training.request import Request, plain, resolve
from transferscope.training.threads import set_threads

VERSION = 1  # raised when this file gives other numbers
MOST_ITEMS = 2000
# pixels a side of the images whose inputs are compared: distances need covariances of all pixels
RAW_SIZE = 16
OF_NUMBERS = {"values", "source_values", "target_values"}
OF_CLASSES = {"labels", "source_labels", "target_labels", "source_probabilities", "source_predictions"}
SEES = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
SEED = 0  # of the directions and folds that distances draw: the same for every source


class Optimizer(TypedDict):
    _target_: Annotated[str, Field(pattern=r"^torch\.optim\.\w+$")]


class Trainer(TypedDict):
    optimizer: Optimizer


class Backbone(TypedDict):
    _target_: str
    name: str


class RankedConfig(TypedDict):
    """Of a record's config, what a pair of domains is made of."""

    target: str
    source: str | list[str]
    split_seed: int
    image_size: int | None
    channels: int | None
    label_budget: int | str
    backbone: Backbone
    trainer: Trainer


Number = float | dict[str, float] | None
Numbers = dict[str, Number]


@dataclass(frozen=True)
class Candidate:
    """A source beside the target, cut to the items that count. `task` has given up its pools."""

    request: Request
    run_data: splits.RunData
    training_items: int
    source: Tensor  # [at most MOST_ITEMS, ...] in a fixed order
    source_labels: Tensor  # [training_items], into source_classes
    target: Tensor  # [at most MOST_ITEMS, ...], the same for every candidate
    budget: int | str
    # the target items of the budget, without those set aside for validation
    labelled: splits.LabelledData | None


def rank(configs: list[DictConfig], most: int = MOST_ITEMS, is_budget_given: bool = True) -> dict[str, Any]:
    """Measure every candidate source; the configs differ in `source` alone. What `rank --format json` prints,
    less its `reading`.

    most: source items that count, if there are so many. is_budget_given: False where nobody asked for the
    config's `label_budget`, which is then no more than the target's smallest class has. Leaves what it
    computes in the store and computes nothing that is there. Trains each source's model where the store has
    none. Raises RequestError for a wrong request."""
    candidates = [candidate(config, is_budget_given) for config in configs]
    first = candidates[0]
    c = first.request.asked
    record.check_writable(first.request.store)
    set_threads(c.trainer.threads)
    count = min(most, *(len(one.source) for one in candidates))
    pretrained = first.request.consumed["backbone"].get("weights", "random") != "random"
    rows = [measure(replace(one, source=one.source[:count]), pretrained) for one in candidates]
    return {
        "target": first.run_data.target.name,
        "label_budget": first.budget,
        "backbone": first.request.cell["backbone"],
        "seed": c.seed,
        "features_of": "pretrained weights" if pretrained else "each source's model",
        **({"quantities": list(target.quantities)} if (target := first.run_data.target).quantities else {}),
        **({"tags": list(target.tags)} if target.tags else {}),
        "items": {
            "source": count,
            "target": len(first.target),
            "target_labelled": 0 if first.labelled is None else len(first.labelled.labels),
        },
        "sources": rows,
    }


def rank_pairs(base: DictConfig) -> list[dict[str, Any]]:
    """`rank` for every source and target that the runs of a store bring together, on one footing: equally
    many items of every source.

    base: a config of fine_tuning with the source's initialisation; the store and where data lie are taken
    from it, the rest from the records."""
    groups = of_records(Path(base.store), base)
    most = min(len(candidate(config).source) for configs in groups for config in configs)
    return [rank(configs, most) for configs in groups]


def of_records(store: Path, base: DictConfig) -> list[list[DictConfig]]:
    """Configs of all pairs, those of one target and setting together. Of runs that differ in seed or
    training, the first counts."""
    pairs: dict[str, dict[str, DictConfig]] = {}
    runs = [record.read_record(folder) for folder in record.run_folders(store)]
    runs = [run for run in runs if run["cell"]["source"] and run["result"] and run["role"] == "run"]
    runs = [run for run in runs if not run["consumed"].get("source_label_noise") and "imported" not in run]
    if not runs:
        raise RequestError(
            f"store={store}: holds no run that has a source; `transferscope run` makes them, or give "
            "source=A,B target=C"
        )
    if folded := sorted({run["cell"]["target"] for run in runs if "fold" in run["consumed"]}):
        print(
            f"warning: {', '.join(folded)}: the runs are of folds, which test every labelled item once; what "
            "is measured here is of the training half of split_seed, whose items they test too",
            file=sys.stderr,
        )
    for run in sorted(runs, key=_place):
        c, cell = cast(dict[str, Any], run["config"]), run["cell"]
        _check_data(store, run)
        keys = ("target", "split_seed", "image_size", "channels")
        budget = c["label_budget"] if cell["label_budget"] is None else cell["label_budget"]
        random = (
            {"weights": "random"} if run["consumed"].get("backbone", {}).get("weights") == "random" else {}
        )
        same = {
            **{key: c[key] for key in keys},
            "label_budget": budget,
            "backbone": {**c["backbone"], **random},
        }
        own = {
            "source": c["source"],
            "seed": run["seed"],
            "trainer": {key: c["trainer"].get(key, value) for key, value in base.trainer.items()},
        }
        config = _merged(base)  # a copy
        OmegaConf.set_struct(config, False)
        for key, value in (same | own).items():
            config[key] = value
        config.trainer.optimizer._partial_ = True
        pairs.setdefault(json.dumps(same, sort_keys=True), {}).setdefault(str(cell["source"]), config)
    return [list(by_source.values()) for by_source in pairs.values()]


def _merged(config: DictConfig, *others: dict[str, Any]) -> DictConfig:
    return cast(DictConfig, OmegaConf.merge(config, *others))


def _check_data(store: Path, run: RunRecord) -> None:
    """A record is data: RequestError where its config would have built what no yaml names, or hold more than
    plain values."""
    c, where = cast(dict[str, Any], run["config"]), store / run["fingerprint"] / "record.json"
    if (wrong := mismatch(c, RankedConfig)) is not None:
        raise RequestError(f"{where}: config.{wrong} is missing or of another type")
    if (kind := c["backbone"]["_target_"]) not in yamls.targets("backbone"):
        raise RequestError(
            f"{where}: backbone {kind}: no yaml of config group backbone names it; for one of your own give "
            "--config-dir"
        )
    optimizer = {
        key: value for key, value in c["trainer"]["optimizer"].items() if key not in ("_target_", "_partial_")
    }
    backbone = {
        key: value
        for key, value in c["backbone"].items()
        if key != "_target_" and (key, value) != ("_convert_", "all")
    }
    if not _is_plain([backbone, {**c["trainer"], "optimizer": optimizer}, c["target"], c["source"]]):
        raise RequestError(f"{where}: its backbone or trainer holds more than plain values")


def _is_plain(value: object) -> bool:
    """Nothing that Hydra would build or resolve."""
    match value:
        case dict():
            return all(
                _is_plain(item) and (not item or not key.startswith("_")) for key, item in value.items()
            )
        case list():
            return all(map(_is_plain, value))
    return not isinstance(value, str) or "${" not in value


def _place(run: RunRecord) -> tuple[object, ...]:
    cell, budget, trainer = run["cell"], str(run["cell"]["label_budget"]), run["config"].get("trainer")
    return (
        cell["target"],
        budget.zfill(9),
        cell["source"],
        run["seed"],
        json.dumps(trainer, sort_keys=True),
        run["fingerprint"],
    )


def candidate(config: DictConfig, is_budget_given: bool = True) -> Candidate:
    """Check one config and choose the items: training items alone, in an order that `split_seed` fixes. Of a
    target that is tested on as a whole its inputs, which transductive runs see too, and no label."""
    values = plain(config)
    check_sections(values)
    asked = check_values(values)
    target = load_domain("target", asked.target, asked.data_root, asked.download)
    is_whole, budget = target.whole, 0 if target.whole else asked.label_budget
    if not is_budget_given and budget != "full":
        budget = min(budget, splits.largest_budget(target, splits.split(target, asked.split_seed)[0]))
    sees = SEES if budget != 0 else SEES - {"target_labels"}
    request = resolve(of_the_source(config) if is_whole else _merged(config, {"label_budget": budget or 1}))
    c = request.asked
    run_data = splits.prepare(
        request.target, request.sources, sees, budget, c.seed, c.split_seed,
        protocol="transductive" if is_whole else "inductive", source_label_noise=c.source_label_noise,
        image_size=c.image_size, channels=c.channels,
    )  # fmt: skip
    run_data = reading.as_read(run_data, request.reader(run_data), request.store)
    source, labelled, inputs, _ = run_data.pools
    if source is None or inputs is None:
        raise ValueError("a candidate has a source, and inputs of the target")

    def chosen(name: str, n: int) -> np.ndarray:
        return splits.generator("predict", c.split_seed, name).permutation(n)[:MOST_ITEMS]

    if labelled is not None:
        labelled = labelled.taken(chosen("labelled", len(labelled.labels)))
    return Candidate(
        request, replace(run_data, pools=splits.Pools(), evaluated={}), len(source.labels),
        source.inputs[chosen("source", len(source.labels))], source.labels,
        inputs[chosen("target", len(inputs))], budget, labelled,
    )  # fmt: skip


def of_the_source(config: DictConfig) -> DictConfig:
    """The config with the training of the source's model itself in the place of fine_tuning, which wants a
    label. The model is the same."""
    config = _merged(config, {"initialisation": "auto"})
    OmegaConf.set_struct(config, False)
    path = yamls.find("strategy", "source_only")
    assert path is not None, "conf/strategy has a source_only.yaml"
    config.strategy = OmegaConf.load(path)
    return config


def measure(one: Candidate, pretrained: bool) -> dict[str, Any]:
    """All numbers of one source, and the reasons for those that could not be had."""
    given = {"most_items": MOST_ITEMS, "version": VERSION}
    near = given | {
        "source_items": len(one.source),
        "raw_size": RAW_SIZE,
        "measures": _versions(applying(distances.available(), one)),
    }
    suits = given | {
        "label_budget": one.budget,
        "measures": _versions(applying(distances.available() | transferability.available(), one)),
    }
    parts = [
        kept(one, "distances", near, lambda: measure_distances(one, pretrained)),
        kept(one, "scores", suits, lambda: measure_scores(one)),
    ]
    seconds = [part.get("source_seconds") for part in parts]
    return {
        "source": one.request.cell["source"],
        "training_items": one.training_items,
        "classes_shared": classes_shared(one.run_data),
        "source_seconds": None if None in seconds else sum(seconds),
        **parts[0]["values"],
        **parts[1]["values"],
        "reasons": parts[0]["reasons"] | parts[1]["reasons"],
    }


def applying(functions: dict[str, distances.Measure], one: Candidate) -> dict[str, distances.Measure]:
    """Those that ask for nothing that the target's task has not."""
    others = OF_NUMBERS if one.run_data.target.classes else OF_CLASSES
    return {
        name: function
        for name, function in functions.items()
        if not others & inspect.signature(function).parameters.keys()
    }


def classes_shared(run_data: splits.RunData) -> str:
    """`8 of 10`; a dash where there are none."""
    tasks = run_data.task, run_data.source_task
    if not all(isinstance(task, Classification) for task in tasks):
        return "–"
    target, source = (set(class_names(task)) for task in tasks)
    return f"{len(target & source)} of {len(target)}"


def kept(
    one: Candidate, kind: str, given: dict[str, Any], compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What the store has of this kind, else computed and left there under the hash of what it consumed."""
    consumed = {key: one.request.consumed[key] for key in (*source_models.SOURCE_KEYS, "target")}
    consumed |= {
        "trainer": {key: value for key, value in one.request.consumed["trainer"].items() if key != "steps"},
        **given,
    }
    path = record.prediction_path(one.request.store, record.fingerprint({"kind": kind, **consumed}))
    if path.exists():
        try:
            return cast(dict[str, Any], record.read_json(path, "prediction"))
        except RequestError as refusal:
            print(f"{refusal}; made again", file=sys.stderr)
    found = compute()
    # the store has the source's model by then
    later = found | {"source_seconds": found["source_seconds"] and 0.0}
    content = {"schema": record.SCHEMA, "kind": kind, "created": record.now(), "consumed": consumed, **later}
    record.write_atomically(path, json.dumps(content, indent=1, allow_nan=False))
    return found


def _versions(functions: dict[str, distances.Measure]) -> dict[str, str]:
    """By name, the `VERSION` of the file that defines a function or, where it states none, a hash of its
    text: values of a function that is still being written must not be found again. A user's own has the
    arguments of its yaml."""
    found = {}
    for name, function in functions.items():
        module = sys.modules[function.__module__]
        found[name] = str(getattr(module, "VERSION", None) or _hash_of_text(module))
        if arguments := getattr(function, "keywords", None):
            found[name] += json.dumps(arguments, sort_keys=True)
    return found


def _hash_of_text(module: ModuleType) -> str:
    return hashlib.blake2b(inspect.getsource(module).encode(), digest_size=4).hexdigest()


def measure_distances(one: Candidate, pretrained: bool) -> dict[str, Any]:
    """Between inputs, and between features: nothing here depends on the label budget."""
    run_data, choices, device = one.run_data, distances.available(), one.request.consumed["device"]
    inputs, reasons = raw_distances(one, choices)
    try:
        network, seconds = source_network(one)
    except FloatingPointError as error:
        return {
            "values": {"inputs": inputs, "features": {}},
            "reasons": reasons | {"features and scores": str(error)},
            "source_seconds": None,
        }
    if pretrained:
        backbone = build_network(
            one.request, run_data, run_data.task.outputs, one.request.stream(), "pretrained"
        ).backbone
    else:
        backbone = network.backbone
    source, target = (
        in_chunks(backbone.eval().to(device), inputs, device).double() for inputs in (one.source, one.target)
    )
    features, why = measured(
        "features", choices, dict(zip(("source", "target"), in_units(source, target), strict=True))
    )
    return {
        "values": {"inputs": inputs, "features": features},
        "reasons": reasons | why,
        "source_seconds": seconds,
    }


def raw_distances(one: Candidate, choices: dict[str, distances.Measure]) -> tuple[Numbers, dict[str, str]]:
    """Of inputs that are magnitudes: those of images, arrays, and tables of numbers without a gap."""
    if any(table.categorical or table.gaps for table in (one.request.target, *one.request.sources)):
        return {}, {"inputs": "categories and missing values of a table are no numbers; features are"}
    if one.run_data.reader is not None:
        return {}, {"inputs": "the tokens of texts are no magnitudes; features are"}
    return measured("inputs", choices, {"source": raw(one.source), "target": raw(one.target)})


def measure_scores(one: Candidate) -> dict[str, Any]:
    """What the labels of the budget tell: label shift, and how well the source's model suits them."""
    labels: Numbers = {}
    reasons = {
        "labels": "their shift needs label_budget=full: a smaller budget draws equally many of every class"
        if one.run_data.target.classes
        else "their shift needs label_budget=full"
    }
    if one.run_data.target.whole:
        reasons["scores"] = f"every label of {one.run_data.target.name} is for testing"
    if one.budget == "full" and one.labelled is not None:
        labels, reasons = measured("labels", distances.available(), labels_of_both(one))
    try:
        network, seconds = source_network(one)
    except FloatingPointError as error:
        return {
            "values": {"labels": labels, "scores": {}},
            "reasons": reasons | {"features and scores": str(error)},
            "source_seconds": None,
        }
    scores: Numbers = {}
    if one.labelled is not None:
        features = in_chunks(network.backbone, one.labelled.inputs, one.request.consumed["device"])
        with torch.no_grad():
            predicted = one.run_data.source_task.predict(network.head.cpu()(features)).numpy()
        of_model: dict[str, Any] = {"features": features.numpy()}
        labels_of, source_task = one.labelled.labels.numpy(), one.run_data.source_task
        of_model["labels" if labels_of.ndim == 1 else "values"] = labels_of
        if isinstance(source_task, Classification):
            of_model |= {"source_probabilities": predicted, "source_predictions": predicted.argmax(1)}
        elif source_task.has_outputs_of(one.run_data.task):
            of_model["source_values"] = predicted
        scores, why = measured("scores", transferability.available(), of_model)
        reasons = reasons | why
    return {"values": {"labels": labels, "scores": scores}, "reasons": reasons, "source_seconds": seconds}


def labels_of_both(one: Candidate) -> dict[str, Tensor]:
    """What a shift of labels is told by: indices of one list of classes, or numbers; nothing where source and
    target are of two tasks."""
    task, source_task = one.run_data.task, one.run_data.source_task
    assert one.labelled is not None
    if task.name != source_task.name:
        return {}
    if not isinstance(task, Classification):
        same = task.has_outputs_of(source_task)
        return {"source_values": one.source_labels, "target_values": one.labelled.labels} if same else {}
    every_class = task.joined([source_task])
    return {
        "source_labels": every_class.translated(one.source_labels, source_task),
        "target_labels": every_class.translated(one.labelled.labels, task),
    }


def source_network(one: Candidate) -> tuple[Classifier, float]:
    """The source's model in evaluation mode and the seconds its training took now, 0 where the store had
    it."""
    weights, seconds = source_models.source_model(one.request, one.run_data)
    network, _ = source_models.source_network(one.request, one.run_data)
    network.load_state_dict(weights)
    if not all(torch.isfinite(weight).all() for weight in weights.values()):
        raise FloatingPointError("the source model did not train: its weights are not finite")
    return network.eval().to(one.request.consumed["device"]), seconds


def measured(
    group: str, functions: dict[str, distances.Measure], given: dict[str, Any]
) -> tuple[Numbers, dict[str, str]]:
    """The values of all functions whose arguments without a default are among those given, by name; and why a
    value is missing, by `group/name`."""
    values: Numbers = {}
    reasons: dict[str, str] = {}
    for name, function in functions.items():
        wanted = {p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty}
        fresh = {"generator": torch.Generator().manual_seed(SEED)}
        if not wanted <= given.keys() | fresh.keys() or wanted <= fresh.keys():
            continue
        try:
            value = function(**{key: value for key, value in (given | fresh).items() if key in wanted})
        except RequestError as refusal:
            values[name], reasons[f"{group}/{name}"] = None, str(refusal).removeprefix(f"{name}: ")
            continue
        estimate, bounds = value if isinstance(value, tuple) else (value, ())
        numbers = [float(number) for number in (estimate, *bounds)]
        if not all(map(math.isfinite, numbers)):
            values[name] = None
            reasons[f"{group}/{name}"] = "infinite" if math.isinf(numbers[0]) else "not a number"
        else:
            values[name] = dict(zip(("estimate", "lo", "hi"), numbers, strict=True)) if bounds else numbers[0]
    return values, reasons


def raw(inputs: Tensor) -> Tensor:
    """Inputs as float64 [N, d]: images at RAW_SIZE px or less a side, from 0 to 1; anything else as it is."""
    if inputs.dtype == torch.uint8 and inputs.ndim == 4:
        return fit_images(inputs, min(RAW_SIZE, inputs.shape[-1]), inputs.shape[1]).flatten(1).double() / 255
    return inputs.flatten(1).double()


def in_units(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both [N, d] divided by the features' standard deviation inside the two domains: every source's model
    has a scale of its own."""
    scale = ((source.var(0).mean() + target.var(0).mean()) / 2).sqrt()
    return (source / scale, target / scale) if scale > 0 else (source, target)
