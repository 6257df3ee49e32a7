"""From a composed config to a checked request: which domains, what the strategy sees, what the run consumes,
its fingerprint.

Everything that can be refused is refused here, before anything is trained.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from transferscope.backbones.base import Backbone
from transferscope.catalog import yamls
from transferscope.catalog.arguments import check_arguments
from transferscope.data import copies, splits
from transferscope.data.domain import Domain
from transferscope.data.load import load_domain
from transferscope.data.texts import Reader, Texts
from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.store import record
from transferscope.strategies.base import COMMON_KEYS, Strategy
from transferscope.strategies.target_only import TargetOnly
from transferscope.tasks.copied import Copies
from transferscope.training import compatibility, paths, reading
from transferscope.training.checks import (
    REACHED_BY_START,
    check_constructor,
    check_entries,
    check_schedule,
    check_sections,
    check_values,
    class_of,
    strategy_class,
)
from transferscope.training.config import RunConfig
from transferscope.training.consumption import consumed_by, device, is_source_model, starts_pretrained
from transferscope.training.own_parts import register_own_parts
from transferscope.training.settings import FitSettings, Stream


@dataclass(frozen=True)
class Request:
    """One run, checked. `consumed` is what the fingerprint hashes."""

    config: dict[str, Any]  # as composed, which the record keeps
    asked: RunConfig  # the same as typed values
    strategy: type[Strategy]
    target: Domain
    sources: tuple[Domain, ...]
    sees: frozenset[str]
    initialisation: str
    cell: dict[str, Any]
    consumed: dict[str, Any]
    fingerprint: str
    deterministic: bool = False  # nothing in it is drawn from the seed: every seed is this one run
    tested_also: tuple[Domain, ...] = ()

    @property
    def store(self) -> Path:
        return Path(self.asked.store)

    @property
    def steps(self) -> int:
        """Optimiser steps of the run itself: a source model's length where the source model is all there
        is."""
        trainer = self.asked.trainer
        return trainer.source_steps if self.trains_source_model else trainer.steps

    @property
    def trains_source_model(self) -> bool:
        return is_source_model(self.strategy, self.initialisation)

    def run_data(self) -> splits.RunData:
        c = self.asked
        run_data = splits.prepare(
            self.target, self.sources, self.sees, c.label_budget, c.seed, c.split_seed,
            protocol=c.protocol, source_label_noise=c.source_label_noise,
            image_size=c.image_size, channels=c.channels, fold=self.fold,
            tested_also=self.tested_also, learns_from_source="source_labels" in self.reached_by,
            loss=c.trainer.loss,
        )  # fmt: skip
        return reading.as_read(run_data, self.reader(run_data), self.store)

    def reader(self, run_data: splits.RunData) -> Reader | None:
        """How the backbone takes texts. What follows from texts that are trained on is of the source's where
        the weights are."""
        reader = reading.reader_of(self.asked.backbone)
        if reader is None or not reader.learns or self.initialisation not in REACHED_BY_START:
            return reader
        pool, _ = splits.source_pool(
            self.sources, run_data.source_task, self.asked.seed, self.asked.split_seed, 0, self.own_shape
        )
        return reading.fitted_to(reader, cast(Texts, pool.inputs))

    @property
    def own_shape(self) -> tuple[int, ...]:
        """Of an item before its text is read."""
        return splits.input_shape(self.target, self.asked.image_size, self.asked.channels)

    @property
    def test_also(self) -> list[dict[str, str]]:
        """For the record: what changes nothing of a training is no part of its fingerprint."""
        return [{"name": domain.name, "digest": domain.digest} for domain in self.tested_also]

    @property
    def copies(self) -> Copies:
        """Of its test items, among what it may train on."""
        return copies.count(*self.tested)

    @property
    def tested(self) -> tuple[Domain, tuple[Domain, ...], int, splits.Fold | None]:
        """What says which items are tested: target, sources, split seed, fold."""
        return self.target, self.sources, self.asked.split_seed, self.fold

    @property
    def fold(self) -> splits.Fold | None:
        return self.asked.in_fold

    def settings(self, steps: int) -> FitSettings:
        t = self.asked.trainer
        accelerator = "gpu" if self.consumed["device"] == "cuda" else "cpu"
        optimizer = instantiate(t.optimizer)
        return FitSettings(
            steps, t.batch_size, min(t.evaluations, steps), optimizer, t.schedule, accelerator,
            t.precision, t.augmentation, t.label_smoothing, t.patience, t.gradient_clip_val,
            t.accumulate_grad_batches, t.l1_penalty, t.class_weights, t.sampler, t.lr_range_test, t.devices,
        )  # fmt: skip

    def stream(self) -> Stream:
        """Key of the run's own random draws; the labelled subset has its own (splits.py), which a twin
        shares."""
        strategy = TargetOnly if self.strategy.beside_scratch else self.strategy
        return self.asked.seed, strategy.__name__, *(["twin"] if self.asked.twin else [])

    def build_strategy(self, network: Classifier) -> Strategy:
        arguments = {key: value for key, value in self.asked.strategy.items() if key not in COMMON_KEYS}
        strategy: Strategy = instantiate(arguments, network=network, _convert_="all")
        strategy.backbone_rate = 1.0 if self.backbone_rate is None else self.backbone_rate
        return strategy

    @property
    def backbone_rate(self) -> float | None:
        """None where no transferred weight is trained at such a rate."""
        has_one = self.strategy.has_backbone_rate() and self.initialisation != "random"
        return self.consumed["strategy"].get("backbone_rate", 1.0) if has_one else None

    @property
    def source_backbone_rate(self) -> float:
        """`backbone_rate` of the source model that it trains or starts from."""
        consumed = (
            self.consumed["strategy"]
            if self.trains_source_model
            else {"backbone_rate": self.consumed.get("source_backbone_rate", 1.0)}
        )
        rate: float = consumed.get("backbone_rate", 1.0)
        return rate

    @property
    def extra_files(self) -> list[str]:
        """What of `record.BESIDE` this run is to leave beside its results."""
        c = self.asked
        has_features = (
            c.keep_features
            and "source_inputs" in self.sees
            and compatibility.share_outputs(self.target, self.sources)
        )
        wanted = {
            "model.safetensors": c.keep == "selected",
            "features": has_features,
            "reverse_validation.json": c.reverse_validation,
        }
        return [name for name, is_wanted in wanted.items() if is_wanted]

    @property
    def reached_by(self) -> list[str]:
        """What has reached the trained weights: what the strategy sees, and the source by way of its
        model."""
        return sorted(self.sees | REACHED_BY_START.get(self.initialisation, set()))


def resolve(config: DictConfig) -> Request:
    """Check a composed config and load its domains. Raises RequestError, or NotApplicable where only the
    combination is at fault."""
    return checked(plain(config))


def checked(config: dict[str, Any]) -> Request:
    """`resolve` of a config as plain values, which the request keeps."""
    register_own_parts()
    check_sections(config)
    c = check_values(config)
    strategy = strategy_class(c.strategy)
    check_constructor("strategy", strategy, c.strategy, given={"network"})
    for key, value in c.strategy.items():
        if isinstance(value, dict) and isinstance(value.get("_target_"), str):
            check_arguments(f"strategy.{key}", class_of(f"strategy.{key}", value, object), value, {"network"})
    check_constructor(
        "backbone", class_of("backbone", c.backbone, Backbone), c.backbone, given={"input_shape", "columns"}
    )
    optimizer = c.trainer.optimizer
    check_constructor(
        "trainer.optimizer",
        class_of("trainer.optimizer", optimizer, torch.optim.Optimizer),
        optimizer,
        given={"params"},
    )
    check_entries("trainer.callbacks", c.trainer.callbacks, pl.Callback)
    check_entries("trainer.loggers", c.trainer.loggers, Logger)
    if isinstance(c.trainer.schedule, dict):
        check_schedule(c.trainer.schedule)
    target = load_domain("target", c.target, c.data_root, c.download)
    names = c.sources
    initialisation = _initialisation(c, strategy, bool(names))
    sees = frozenset(strategy.sees - ({"target_labels"} if c.label_budget == 0 else set()))
    name = c.strategy["name"]
    if strategy.needs_target_labels and c.label_budget == 0:
        raise NotApplicable(
            f"label_budget=0: strategy {name} learns from target labels; give at least 1 or 'full'"
        )
    if strategy.needs_source_model and initialisation != "source":
        raise NotApplicable(
            f"initialisation={initialisation}: strategy {name} needs a source model; give source=DOMAIN "
            "initialisation=source"
        )
    uses_source = initialisation in REACHED_BY_START or "source_inputs" in sees
    if "source_inputs" in sees and not names:
        raise NotApplicable(f"source=null: strategy {name} learns from a source domain; give source=DOMAIN")
    sources = tuple(load_domain("source", n, c.data_root, c.download) for n in names) if uses_source else ()
    if c.copies == "drop_train":
        if c.fold is not None:
            raise RequestError(
                f"fold={c.fold}: folds test every item, so that no training item stays a copy of none; "
                "give copies=keep"
            )
        target, sources = copies.dropped(target, sources, c.split_seed)
    also = tuple(load_domain("test_also", n, c.data_root, c.download) for n in c.test_also)
    compatibility.check_tested_also(also, target, c)
    stops_early = c.trainer.patience is not None and not is_source_model(strategy, initialisation)
    compatibility.check_pretraining(c, initialisation, target, sources)
    compatibility.check_task(c, strategy, target, sources)
    compatibility.check_texts(c, strategy, target, sources, also)
    compatibility.check_outputs(strategy, name, target, sources)
    compatibility.check_budget(target, sees, c)
    compatibility.check_protocol(target, sees | REACHED_BY_START.get(initialisation, set()), c)
    compatibility.check_selection(c, sees, target, sources, stops_early)
    compatibility.check_augmentation(c, strategy, target, initialisation)
    compatibility.check_layers_on_top(c, strategy, initialisation)
    compatibility.check_columns(c, strategy, target, sources, also)
    compatibility.check_network(c, target, initialisation)
    compatibility.check_steps(c, strategy, initialisation)
    compatibility.check_devices(c, strategy, device(c.trainer.accelerator))
    if c.reverse_validation:
        compatibility.check_reversible(strategy, name, sees, initialisation, target, sources)
    if name == "target_only" and initialisation == "random":
        name = "scratch"  # the same run under its older name
    deterministic = _is_deterministic(c, strategy, sees, initialisation)
    if deterministic:
        config["seed"] = 0
        c = c.model_copy(update={"seed": 0})
    consumed = consumed_by(c, strategy, target, sources, sees, initialisation)
    if deterministic:
        consumed["seed"] = None
    cell = {
        "source": "+".join(source.name for source in sources) or None,
        "target": target.name,
        "label_budget": consumed["label_budget"],
        "backbone": c.backbone["name"],
        "initialisation": initialisation,
        "strategy": name,
        "protocol": consumed["protocol"],
    }
    return Request(
        config,
        c,
        strategy,
        target,
        sources,
        sees,
        initialisation,
        cell,
        consumed,
        record.fingerprint(consumed),
        deterministic,
        also,
    )


def plain(config: DictConfig) -> dict[str, Any]:
    """The whole config, resolved, as plain Python. A backbone without a name has that of its yaml."""
    backbone = yamls.backbone_yaml(config)
    if "hydra" in config:
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    values = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    for key in paths.KEYS:
        if isinstance(values.get(key), str):
            values[key] = paths.home(values[key], key)
    if backbone and isinstance(values.get("backbone"), dict):
        values["backbone"].setdefault("name", backbone)
    if missing := sorted(_missing(values)):
        what = "; ".join(f"{key}=???: a value is needed" for key in missing)
        raise RequestError(
            f"{what}{': one of ' + ', '.join(yamls.names('domain')) if missing == ['target'] else ''}"
        )
    return values


def _missing(values: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys that wait for a value. `OmegaConf.missing_keys` of the config says the same in twenty
    times the time."""
    found = [f"{prefix}{key}" for key, value in values.items() if value == "???"]
    return found + [
        name
        for key, value in values.items()
        if isinstance(value, dict)
        for name in _missing(value, f"{prefix}{key}.")
    ]


# --- what goes together


def _is_weightless(c: RunConfig) -> bool:
    return getattr(get_class(c.backbone["_target_"]), "weightless", False)


def _is_deterministic(
    c: RunConfig, strategy: type[Strategy], sees: frozenset[str], initialisation: str
) -> bool:
    """Whether nothing is drawn from the seed. What is drawn at `full` is which labels are set aside for
    validation."""
    same_features = initialisation == "pretrained" or initialisation == "random" and _is_weightless(c)
    same_features = same_features or strategy.takes_tables
    drawn = "target_labels" in sees or c.source_label_noise or c.fold is not None
    return strategy.closed_form and same_features and not drawn


def _initialisation(c: RunConfig, strategy: type[Strategy], has_source: bool) -> str:
    name, start = c.strategy["name"], c.strategy["starts_from"]
    asked: str = c.initialisation
    own = "pretrained" if starts_pretrained(c) else "random"
    # none would change the features
    needs_no_model = strategy.closed_form and _is_weightless(c) and not strategy.needs_source_model
    if start == "random":
        if asked not in ("auto", "random"):
            raise NotApplicable(
                f"initialisation={asked}: {name} starts from random weights by definition; use "
                "strategy=target_only"
            )
        return "random"
    if asked == "auto":
        asked = "source" if start == "source" and has_source and not needs_no_model else own
    if asked == "pretrained" and own == "random":
        raise NotApplicable(
            f"initialisation=pretrained: backbone {c.backbone['name']} has backbone.weights=random"
        )
    if asked in REACHED_BY_START and not has_source:
        raise NotApplicable(f"initialisation={asked}: there is no source; give source=DOMAIN")
    if asked == "random" and start == "source" and not needs_no_model:
        raise NotApplicable(
            f"strategy={name}: nothing to transfer; give source=DOMAIN or a backbone with pretrained weights"
        )
    return asked
