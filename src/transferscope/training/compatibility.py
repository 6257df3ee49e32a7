"""Whether a strategy, a network and the items go together, asked before anything is trained."""

import json
from functools import lru_cache
from typing import Any

import torch
from hydra.utils import get_class, instantiate

from transferscope.data import splits
from transferscope.data.augmentation import BY_KORNIA, kornia_module
from transferscope.data.domain import Domain
from transferscope.errors import NotApplicable, Refused
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import COMMON_KEYS, Strategy


def check_augmentation(c: dict[str, Any], strategy: type[Strategy], target: Domain, initialisation: str) -> None:
    """c: the whole config. Raises NotApplicable where a training has no images to augment so, Refused without the library."""
    augmentation, what = c["trainer"]["augmentation"], None
    if augmentation == "none":
        return
    if not target.is_images:
        what = f"target {target.name} holds arrays, and images alone can be augmented"
    elif strategy.precompute is not Strategy.precompute:
        what = f"strategy {c['strategy']['name']} computes features once, from images as they are"
    elif c["backbone"].get("trunk") and initialisation != "random":
        what = f"what backbone.trunk={c['backbone']['trunk']} gives is computed once, from images as they are"
    if what:
        raise NotApplicable(f"trainer.augmentation={augmentation}: {what}; give trainer.augmentation=none")
    if augmentation in BY_KORNIA:
        kornia_module(augmentation)
    if augmentation == "crop_flip_color" and (channels := splits.input_shape(target, c["image_size"], c["channels"])[0]) != 3:
        raise NotApplicable(f"trainer.augmentation={augmentation}: colour needs 3 channels, not {channels}; give trainer.augmentation=crop_flip")


def check_network(c: dict[str, Any], target: Domain, initialisation: str) -> None:
    """c: the whole config. Raises what backbone and strategy have against each other or the inputs: both are built, without weights."""
    shape = splits.input_shape(target, c["image_size"], c["channels"])
    backbone = {key: value for key, value in c["backbone"].items() if key != "name"}
    backbone |= {"weights": "random"} if "weights" in backbone else {}
    strategy = {key: value for key, value in c["strategy"].items() if key not in COMMON_KEYS}
    if refusal := _refusal(json.dumps([backbone, shape, len(target.classes), strategy, initialisation != "random"])):
        raise type(refusal)(f"{refusal} (backbone={c['backbone']['name']})")
    takes = get_class(c["backbone"]["_target_"]).takes
    if takes and (given := str(target.inputs.dtype).removeprefix("torch.")) not in takes:
        raise NotApplicable(f"backbone={c['backbone']['name']}: takes {' or '.join(takes)} inputs, those of target {target.name} are {given}")


@lru_cache(maxsize=256)
def _refusal(asked: str) -> Refused | None:
    backbone, shape, classes, strategy, is_transferred = json.loads(asked)
    for place in ("meta", "cpu"):  # what some network cannot do without memory is no refusal
        try:
            with torch.device(place):
                network = Classifier(instantiate(backbone, input_shape=tuple(shape), _convert_="all"), classes)
                if is_transferred:
                    network.backbone.freeze_trunk()
                instantiate(strategy, network=network, _convert_="all")
            return None
        except Exception as error:
            cause = error.__cause__ or error  # Hydra wraps what a constructor raises
    if isinstance(cause, Refused):
        return cause
    line = (str(cause).splitlines() or [""])[0]
    return Refused(f"inputs of shape {tuple(shape)}, {classes} classes: the network cannot be built ({type(cause).__name__}: {line})")
