"""From a composed config to a checked request: which domains, what the strategy sees, what the run consumes, its fingerprint.

Everything that can be refused is refused here, before anything is trained.
"""

import hashlib
import inspect
import json
import typing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter, ValidationError

from transferscope import conf, record
from transferscope.data import splits
from transferscope.data.domain import Domain
from transferscope.errors import Refused, nearest
from transferscope.strategies.base import SIGHTS, Strategy
from transferscope.strategies.source_only import SourceOnly
from transferscope.training import Settings


class NotApplicable(Refused):
    """The strategy cannot serve this combination: listed in a sweep, refused in a single run."""


@dataclass(frozen=True)
class Request:
    """One run, checked. `consumed` is what the fingerprint hashes."""

    config: dict[str, Any]
    strategy: type[Strategy]
    target: Domain
    sources: tuple[Domain, ...]
    sees: frozenset[str]
    initialisation: str
    cell: dict[str, Any]
    consumed: dict[str, Any]
    fingerprint: str

    @property
    def store(self) -> Path:
        return Path(self.config["store"])

    @property
    def steps(self) -> int:
        """Optimiser steps of the run itself: a source model's length where the source model is all there is."""
        trainer = self.config["trainer"]
        return trainer["source_steps"] if self.trains_source_model else trainer["steps"]

    @property
    def trains_source_model(self) -> bool:
        return _is_source_model(self.strategy, self.initialisation)

    def task(self) -> splits.Task:
        c = self.config
        return splits.prepare(
            self.target, self.sources, self.sees, c["label_budget"], c["seed"], c["split_seed"], c["protocol"],
            c["source_label_noise"], c["image_size"], c["channels"],
        )  # fmt: skip

    def settings(self, steps: int) -> Settings:
        t = self.config["trainer"]
        accelerator = "gpu" if self.consumed["device"] == "cuda" else "cpu"
        optimizer = instantiate(t["optimizer"])
        return Settings(steps, t["batch_size"], min(t["evaluations"], steps), optimizer, t["schedule"], accelerator, t["precision"])

    def stream(self) -> tuple:
        """Key of the run's own random draws; the labelled subset has its own (splits.py), which a twin shares."""
        return self.config["seed"], self.strategy.__name__, *(["twin"] if self.config["twin"] else [])

    @property
    def reached_by(self) -> list[str]:
        """What has reached the trained weights: what the strategy sees, and the source by way of its model."""
        by_start = {"source_inputs", "source_labels"} if self.initialisation == "source" else set()
        return sorted(self.sees | by_start)


def resolve(config: DictConfig) -> Request:
    """Check a composed config and load its domains. Raises Refused, or NotApplicable where only the combination is at fault."""
    c = plain(config)
    check_values(c)
    strategy = strategy_class(c["strategy"])
    check_arguments("strategy", strategy, c["strategy"], given={"network"})
    check_arguments("backbone", get_class(c["backbone"]["_target_"]), c["backbone"], given={"input_shape"})
    check_arguments("trainer.optimizer", get_class(c["trainer"]["optimizer"]["_target_"]), c["trainer"]["optimizer"], given={"params"})
    target = load_domain("target", c["target"], c["data_root"], c["download"])
    names = [c["source"]] if isinstance(c["source"], str) else c["source"] or []
    initialisation = _initialisation(c, bool(names))
    sees = frozenset(strategy.sees - ({"target_labels"} if c["label_budget"] == 0 else set()))
    name = c["strategy"]["name"]
    if strategy.needs_target_labels and c["label_budget"] == 0:
        raise NotApplicable(f"label_budget=0: strategy {name} learns from target labels; give at least 1 or 'full'")
    if strategy.needs_source_model and initialisation != "source":
        raise NotApplicable(f"initialisation={initialisation}: strategy {name} needs a source model; give source=DOMAIN initialisation=source")
    uses_source = initialisation == "source" or "source_inputs" in sees
    if "source_inputs" in sees and not names:
        raise NotApplicable(f"source=null: strategy {name} learns from a source domain; give source=DOMAIN")
    sources = tuple(load_domain("source", n, c["data_root"], c["download"]) for n in names) if uses_source else ()
    _check_classes(strategy, name, target, sources)
    _check_budget(target, sees, c)
    _check_selection(c, sees, target)
    if name == "target_only" and initialisation == "random":
        name = "scratch"  # the same run under its older name
    consumed = _consumed(c, strategy, target, sources, sees, initialisation)
    cell = {
        "source": "+".join(source.name for source in sources) or None,
        "target": target.name,
        "label_budget": consumed["label_budget"],
        "backbone": c["backbone"]["name"],
        "initialisation": initialisation,
        "strategy": name,
        "protocol": consumed["protocol"],
    }
    return Request(c, strategy, target, sources, sees, initialisation, cell, consumed, record.fingerprint(consumed))


def plain(config: DictConfig) -> dict[str, Any]:
    """The whole config, resolved, as plain Python."""
    config = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    if missing := sorted(OmegaConf.missing_keys(config)):
        what = "; ".join(f"{key}=???: a value is needed" for key in missing)
        raise Refused(f"{what}{': one of ' + ', '.join(conf.names('domain')) if missing == ['target'] else ''}")
    return OmegaConf.to_container(config, resolve=True)


# --- values ----------------------------------------------------------------------------------------------------------------------

CHOICES = {
    "strategy.starts_from": ("random", "weights", "source"),
    "initialisation": ("auto", "random", "pretrained", "source"),
    "protocol": ("inductive", "transductive"),
    "role": ("run", "trial"),
    "keep": ("none", "selected"),
    "selection": ("last", "source_val", "target_val"),
    "trainer.schedule": ("cosine", "constant"),
    "trainer.accelerator": ("auto", "cpu", "gpu"),
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),
    "tracking.mode": ("offline", "online", "off"),
}
AT_LEAST = {
    "seed": 0, "split_seed": 0, "trainer.steps": 1, "trainer.source_steps": 1, "trainer.batch_size": 2, "trainer.evaluations": 1,
    "trainer.threads": 1,
}  # fmt: skip


def check_values(c: dict[str, Any]) -> None:
    def value(key: str) -> Any:
        section, _, name = key.rpartition(".")
        return c[section].get(name) if section else c[name]

    for key, allowed in CHOICES.items():
        if value(key) not in allowed:
            raise Refused(f"{key}={value(key)}: not one of {', '.join(allowed)}{nearest(value(key), allowed)}")
    for key, least in AT_LEAST.items():
        if not _is_integer(value(key)) or value(key) < least:
            raise Refused(f"{key}={value(key)}: an integer of at least {least} is needed")
    for key in ("image_size", "channels"):
        if c[key] is not None and (not _is_integer(c[key]) or c[key] < 1):
            raise Refused(f"{key}={c[key]}: an integer of at least 1 or null is needed")
    if c["label_budget"] != "full" and (not _is_integer(c["label_budget"]) or c["label_budget"] < 0):
        raise Refused(f"label_budget={c['label_budget']}: labelled items a class, an integer of at least 0, or 'full' is needed")
    for key in ("download", "twin"):
        if not isinstance(c[key], bool):
            raise Refused(f"{key}={c[key]}: true or false is needed")
    noise = c["source_label_noise"]
    if not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
        raise Refused(f"source_label_noise={noise}: a share between 0 and 1 is needed")
    for key in ("store", "data_root"):
        if not isinstance(c[key], str) or not c[key]:
            raise Refused(f"{key}={c[key]}: a folder is needed")
    source = c["source"]
    if not (source is None or isinstance(source, str) or (isinstance(source, list) and all(isinstance(s, str) for s in source))):
        raise Refused(f"source={source}: a domain, a list [a,b] of domains, or null is needed")
    if isinstance(source, list) and len(set(source)) != len(source):
        raise Refused(f"source={source}: the same domain twice")
    if c["target"] in ([source] if isinstance(source, str) else source or []):
        raise Refused(f"source={source}: the target itself cannot be its own source")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def strategy_class(values: dict[str, Any]) -> type[Strategy]:
    """The class that a yaml of conf/strategy names."""
    target = values["_target_"]
    if not isinstance(values.get("name"), str):
        raise Refused(f"strategy.name={values.get('name')}: the yaml of {target} needs the name of its file here")
    try:
        strategy = get_class(target)
    except (ImportError, ValueError) as error:
        raise Refused(f"strategy._target_={target}: cannot be imported; for a file of the current folder: export PYTHONPATH=.") from error
    if not issubclass(strategy, Strategy) or not hasattr(strategy, "sees"):
        raise Refused(f"strategy._target_={target}: a subclass of {Strategy.__module__}.Strategy with `sees` is needed")
    if unknown := sorted(strategy.sees - set(SIGHTS)):
        raise Refused(f"strategy._target_={target}: sees {unknown[0]}, not one of {', '.join(SIGHTS)}{nearest(unknown[0], SIGHTS)}")
    return strategy


def check_arguments(section: str, what: type, values: dict[str, Any], given: set[str]) -> None:
    """Every key of a yaml must be a constructor argument, and of its type."""
    parameters = inspect.signature(what).parameters
    hints = typing.get_type_hints(what.__init__)
    allowed = [name for name in parameters if name not in given]
    for key, value in values.items():
        if key.startswith("_") or key in ("name", "starts_from"):  # Hydra's own, and what is read here
            continue
        if key not in allowed:
            raise Refused(f"{section}.{key}={value}: {what.__name__} takes {', '.join(allowed) or 'no keys'}{nearest(key, allowed)}")
        if key in hints and not _fits(value, hints[key]):
            expected = getattr(hints[key], "__name__", str(hints[key]))
            raise Refused(f"{section}.{key}={value}: {expected} is needed, not {type(value).__name__}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a yaml is of an annotated type, as strict JSON: 3 is a float, "3" and true are not, a list is a tuple."""
    try:
        TypeAdapter(hint, config={"arbitrary_types_allowed": True}).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


# --- domains ---------------------------------------------------------------------------------------------------------------------


def load_domain(key: str, name: str, data_root: str, download: bool = False) -> Domain:
    """The domain of conf/domain/NAME.yaml, loaded once a process. The yaml may use ${data_root} and ${download}."""
    return _load_domain(key, name, data_root, download, conf.folders())


@lru_cache(maxsize=32)
def _load_domain(key: str, name: str, data_root: str, download: bool, folders: tuple[Path, ...]) -> Domain:
    path = conf.find("domain", name)
    if path is None:
        allowed = conf.names("domain")
        raise Refused(f"{key}={name}: no such domain{nearest(name, allowed)} (transferscope list domains)")
    yaml = OmegaConf.create({"data_root": data_root, "download": download, "domain": OmegaConf.load(path)})
    arguments = OmegaConf.to_container(yaml, resolve=True)["domain"]
    try:
        return instantiate(arguments, name=name, _convert_="all")
    except Exception as error:  # Hydra wraps what the loader raised
        cause = error.__cause__ or error
        if isinstance(cause, Refused):
            raise Refused(f"{key}={name}: {cause}") from error
        raise


# --- what goes together ----------------------------------------------------------------------------------------------------------


def _initialisation(c: dict[str, Any], has_source: bool) -> str:
    name, start, asked = c["strategy"]["name"], c["strategy"]["starts_from"], c["initialisation"]
    own = "random" if c["backbone"].get("weights", "random") == "random" else "pretrained"
    if start == "random":
        if asked not in ("auto", "random"):
            raise NotApplicable(f"initialisation={asked}: {name} starts from random weights by definition; use strategy=target_only")
        return "random"
    if asked == "auto":
        asked = "source" if start == "source" and has_source else own
    if asked == "pretrained" and own == "random":
        raise NotApplicable(f"initialisation=pretrained: backbone {c['backbone']['name']} has backbone.weights=random")
    if asked == "source" and not has_source:
        raise NotApplicable("initialisation=source: there is no source; give source=DOMAIN")
    if asked == "random" and start == "source":
        raise NotApplicable(f"strategy={name}: nothing to transfer; give source=DOMAIN or a backbone with pretrained weights")
    return asked


def _check_classes(strategy: type[Strategy], name: str, target: Domain, sources: tuple[Domain, ...]) -> None:
    if not strategy.shares_classes or not sources:
        return
    classes = tuple(sorted({c for source in sources for c in source.classes}))
    if classes != target.classes:
        only_source, only_target = sorted(set(classes) - set(target.classes)), sorted(set(target.classes) - set(classes))
        what = [f"{', '.join(only[:5])}{'…' if len(only) > 5 else ''} only in the {where}"
                for only, where in ((only_source, "source"), (only_target, "target")) if only]  # fmt: skip
        joined = "+".join(source.name for source in sources)
        raise NotApplicable(f"source={joined}: strategy {name} needs the classes of target {target.name}; {'; '.join(what)}")


def _check_budget(target: Domain, sees: frozenset[str], c: dict[str, Any]) -> None:
    if "target_labels" in sees:
        train, _ = splits.split(target, c["split_seed"])
        splits.labelled_subset(target, train, c["label_budget"], c["seed"])


def _check_selection(c: dict[str, Any], sees: frozenset[str], target: Domain) -> None:
    if c["keep"] == "none" or c["selection"] == "last":
        return
    budget, least = c["label_budget"], splits.VALIDATION_FROM
    if c["selection"] == "target_val" and ("target_labels" not in sees or (budget != "full" and budget < least)):
        raise NotApplicable(f"selection=target_val: below {least} labels a class none is set aside (label_budget={budget})")
    if c["selection"] == "source_val" and "source_inputs" not in sees:
        raise NotApplicable(f"selection=source_val: strategy {c['strategy']['name']} sees no source")


def _is_source_model(strategy: type[Strategy], initialisation: str) -> bool:
    """Whether a run is the training of a source model and nothing else: it takes `source_steps` and is shared with other runs."""
    return strategy is SourceOnly and initialisation != "source"


def _consumed(
    c: dict[str, Any], strategy: type[Strategy], target: Domain, sources: tuple[Domain, ...], sees: frozenset[str], initialisation: str
) -> dict[str, Any]:
    keys = ["batch_size", "evaluations", "optimizer", "schedule"]
    is_source_model = _is_source_model(strategy, initialisation)
    keys += [] if is_source_model else ["steps"]
    keys += ["source_steps"] if is_source_model or initialisation == "source" else []
    trainer = {key: c["trainer"][key] for key in keys}
    backbone = dict(c["backbone"])
    if "weights" in backbone:
        backbone["weights"] = "random" if initialisation == "random" else weights_identity(backbone["weights"])
    return {
        "strategy": {
            **{k: v for k, v in c["strategy"].items() if k not in ("_target_", "name", "starts_from")},
            "class": f"{strategy.__module__}.{strategy.__qualname__}",
            "version": strategy.version,
        },
        "backbone": backbone,
        "initialisation": initialisation,
        "target": {"name": target.name, "digest": target.digest},
        "sources": [{"name": source.name, "digest": source.digest} for source in sources],
        "source_label_noise": float(c["source_label_noise"]) if sources else 0.0,
        "label_budget": c["label_budget"] if "target_labels" in strategy.sees else None,
        "protocol": c["protocol"] if "target_inputs" in sees else "inductive",
        "trainer": trainer,
        "image_size": c["image_size"],
        "channels": c["channels"],
        "seed": c["seed"],
        "split_seed": c["split_seed"],
        "role": c["role"],
        **({"twin": True} if c["twin"] else {}),
        "device": device(c["trainer"]["accelerator"]),
        "precision": c["trainer"]["precision"],
    }


def device(accelerator: str) -> str:
    available = torch.cuda.is_available()
    if accelerator == "gpu" and not available:
        raise Refused("trainer.accelerator=gpu: no GPU is usable here; give cpu or auto")
    return "cuda" if available and accelerator != "cpu" else "cpu"


@lru_cache(maxsize=32)
def weights_identity(weights: str) -> str:
    """Weights by content where they are a file: the path is not what a run consumes."""
    if weights in ("random", "pretrained"):
        return weights
    path = Path(weights).expanduser()
    if not path.is_file():
        raise Refused(f"backbone.weights={weights}: no such file; give random, pretrained or the path of a weights file")
    with open(path, "rb") as file:
        return f"file:{hashlib.file_digest(file, 'blake2b').hexdigest()[:16]}"
