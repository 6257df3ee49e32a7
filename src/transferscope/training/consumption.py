"""What a run consumes, which is what its fingerprint hashes."""

import hashlib
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class

from transferscope.backbones.base import Backbone
from transferscope.data.domain import Domain
from transferscope.errors import NotApplicable, RequestError
from transferscope.strategies.base import COMMON_KEYS, TRANSFERRED_RATE, Strategy
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.source_only import SourceOnly
from transferscope.training import callbacks
from transferscope.training.checks import OPTIONAL, REACHED_BY_START
from transferscope.training.config import FOLDS, RunConfig
from transferscope.training.identity import identity


def consumed_by(
    c: RunConfig,
    strategy: type[Strategy],
    target: Domain,
    sources: tuple[Domain, ...],
    sees: frozenset[str],
    initialisation: str,
) -> dict[str, Any]:
    keys = ["batch_size", "evaluations", "optimizer", "schedule"]
    is_source = is_source_model(strategy, initialisation)
    reached = sees | REACHED_BY_START.get(initialisation, set())
    rate, source_rate = _backbone_rate(c, strategy, initialisation), 1.0
    if initialisation in REACHED_BY_START and starts_pretrained(c):
        source_rate = rate if strategy.has_backbone_rate() else TRANSFERRED_RATE
    keys += [] if is_source else ["steps"]
    keys += ["source_steps"] if is_source or initialisation in REACHED_BY_START else []
    trainer = {key: getattr(c.trainer, key) for key in keys}
    given = {key: getattr(c.trainer, key) for key in OPTIONAL}
    if given["loss"] == target.task.losses[0]:
        given["loss"] = "auto"
    trainer |= {key: value for key, value in given.items() if value != OPTIONAL[key]}
    if trainer.pop("patience", None) and not is_source:
        # which ends the training
        trainer |= {"patience": c.trainer.patience, "selection": c.selection}
    for key, value in trainer.items():
        if key in ("schedule", "augmentation") and isinstance(value, dict):
            trainer[key] = callbacks.consumed(value)
    if acting := callbacks.acting(c.trainer.callbacks):
        trainer["callbacks"] = [callbacks.consumed(entry) for entry in acting]
    kind: type[Backbone] = get_class(c.backbone["_target_"])
    backbone = c.backbone | _identity("_target_", kind)
    if "weights" in backbone:
        backbone["weights"] = (
            "random" if initialisation == "random" else weights_identity(backbone["weights"])
        )
    backbone |= kind.identity(backbone)
    if backbone.get("trunk") is None or (
        initialisation == "random" and not is_source
    ):  # where nothing was transferred it is trained too
        backbone.pop("trunk", None)
    return {
        "strategy": {
            **{
                key: callbacks.consumed(value) if isinstance(value, dict) and "_target_" in value else value
                for key, value in c.strategy.items()
                if key not in ("_target_", *COMMON_KEYS)
            },
            # which said so before the key was everybody's
            **({"backbone_rate": rate} if rate != 1 or strategy is FineTuning else {}),
            **_identity("class", strategy),
            "version": strategy.version,
        },
        "backbone": backbone,
        "initialisation": initialisation,
        "target": {"name": target.name, "digest": target.digest},
        "sources": [{"name": source.name, "digest": source.digest} for source in sources],
        "source_label_noise": float(c.source_label_noise) if "source_labels" in reached else 0.0,
        "label_budget": c.label_budget if "target_labels" in strategy.sees else None,
        "protocol": c.protocol if "target_inputs" in reached else "inductive",
        "trainer": trainer,
        "image_size": c.image_size,
        "channels": c.channels,
        "seed": c.seed,
        "split_seed": c.split_seed,
        **({"fold": c.fold, "folds": c.folds or FOLDS} if c.fold is not None else {}),
        "role": c.role,
        **({"twin": True} if c.twin else {}),
        **({"source_backbone_rate": source_rate} if source_rate != 1 else {}),
        **(
            {"head": "of its own draw"}
            if strategy.trains_head_alone and initialisation == "pretrained"
            else {}
        ),
        **_own_tasks(target, sources),
        "device": device(c.trainer.accelerator),
        "precision": c.trainer.precision,
    }


def _own_tasks(target: Domain, sources: tuple[Domain, ...]) -> dict[str, Any]:
    """Tasks of a user's own, by name and the hash of their file."""
    own = [domain.own_task for domain in (target, *sources)]
    if not any(own):
        return {}
    known = [None if task is None else _identity("class", task) for task in own]
    return {"task": known[0], "source_tasks": known[1:]}


def _backbone_rate(c: RunConfig, strategy: type[Strategy], initialisation: str) -> float:
    """`backbone_rate` as a number; 1 where there is nothing that it is for."""
    given, name = c.strategy.get("backbone_rate"), c.strategy["name"]
    if given is not None and (
        isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < math.inf
    ):
        raise RequestError(f"strategy.backbone_rate={given}: a number of at least 0 is needed, or null")
    if given is not None and not strategy.has_backbone_rate():
        raise NotApplicable(
            f"strategy.backbone_rate={given}: {name} trains no transferred weight at the trainer's rate; "
            "leave the key out"
        )
    if initialisation == "random" or not strategy.has_backbone_rate():
        return 1.0
    return TRANSFERRED_RATE if given is None else float(given)


def starts_pretrained(c: RunConfig) -> bool:
    return bool(c.backbone.get("weights", "random") != "random")


def is_source_model(strategy: type[Strategy], initialisation: str) -> bool:
    """Whether a run is the training of a source model and nothing else: it takes `source_steps` and is shared
    with other runs."""
    return strategy is SourceOnly and initialisation not in REACHED_BY_START


def _identity(key: str, kind: type) -> dict[str, str]:
    name, source = identity(kind)
    return {key: name} if source is None else {key: name, "source": source}


def device(accelerator: str) -> str:
    available = torch.cuda.is_available()
    if accelerator == "gpu" and not available:
        raise RequestError("trainer.accelerator=gpu: no GPU is usable here; give cpu or auto")
    return "cuda" if available and accelerator != "cpu" else "cpu"


@lru_cache(maxsize=32)
def weights_identity(weights: str) -> str:
    """Weights by content where they are a file: the path is not what a run consumes."""
    if weights in ("random", "pretrained"):
        return weights
    path = Path(weights).expanduser()
    if not path.is_file():
        raise RequestError(
            f"backbone.weights={weights}: no such file; give random, pretrained or the path of a weights file"
        )
    with open(path, "rb") as file:
        return f"file:{hashlib.file_digest(file, 'blake2b').hexdigest()[:16]}"
