"""Any image model of timm (https://github.com/huggingface/pytorch-image-models) as a backbone; the only file
that imports timm."""

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from os.path import commonprefix
from pathlib import Path
from typing import Any, Self

import timm
import torch
from timm.models import get_pretrained_cfg, group_parameters, load_state_dict
from torch import Tensor, nn

from transferscope.backbones.base import Backbone, by_child, require_images
from transferscope.backbones.hub import hub, one_line
from transferscope.errors import NotApplicable, RequestError, nearest


class Timm(Backbone):
    """A timm model without its classifier: uint8 images [N, C, H, W] → its pooled features before the
    classifier [N, d].

    model: a name of `timm.list_models()`, with or without the tag of its weights ("resnet50",
    "resnet50.a1_in1k").
    weights: "random", "pretrained" (downloaded by timm, or from its cache), or the path of a local
        .safetensors or .pth file in timm's key names. Weights for three channels are adapted where the images
        have another number (timm sums or repeats them).
    trunk: a layer such as "layer3" or "blocks.3": it and what comes before it stay as they were transferred.
    model_arguments: further arguments of the model by timm's own names, such as {"patch_size": 4}. Images are
    normalised by the mean and deviation that timm notes for the model. Raises `RequestError` for a model,
    weights or an image size that do not go together."""

    takes = ("uint8",)

    def __init__(
        self,
        input_shape: tuple[int, ...],
        model: str,
        weights: str = "random",
        model_arguments: Mapping[str, Any] | None = None,
        trunk: str | None = None,
    ):
        super().__init__()
        channels, height, width = require_images("timm", input_shape)
        noted = _noted(model)
        arguments = {"num_classes": 0, "in_chans": channels, **(model_arguments or {})}
        if (
            noted.fixed_input_size
        ):  # transformers fix it when built, convolutional networks know no such argument
            arguments.setdefault("img_size", (height, width))
        self.is_frozen = False
        self.lower = Lower(_by_channel(noted.mean, channels), _by_channel(noted.std, channels))
        try:
            self.model = timm.create_model(model, **arguments)
            self.features = self._width(input_shape)
        except Exception as error:  # whatever the model itself raises: there are over a thousand
            raise NotApplicable(
                f"backbone.model={model}: cannot take images of {channels}x{height}x{width} with "
                "model_arguments "
                f"{dict(model_arguments or {})} ({one_line(error)}); choose another image size or other "
                "arguments"
            ) from error
        # of a file: tensors that were taken, that the model has, that were left out
        self.loaded: dict[str, int] | None = None
        if weights == "pretrained":
            self.model = _from_hub(model, arguments)
        elif weights != "random":
            self.model, self.loaded = _from_file(self.model, Path(weights).expanduser(), model, arguments)
        if trunk is not None:
            self._move_below(trunk, input_shape)

    def forward(self, inputs: Tensor) -> Tensor:
        # what a frozen trunk gave comes in its place
        maps = self.lower(inputs) if inputs.dtype == torch.uint8 else inputs
        return self.model.forward_head(self.model.forward_features(maps), pre_logits=True)  # [N, d]

    @property
    def trunk(self) -> nn.Module | None:
        return self.lower if self.is_frozen else None

    def freeze_trunk(self) -> None:
        self.is_frozen = len(self.lower.layers) > 0
        self.lower.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.lower.train(mode and not self.is_frozen)
        return self

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        """As fine as timm's own groups for layer-wise learning rates; the model's children where it has none.
        A trunk is one group, the first, and none where it is frozen."""
        below = list(self.lower.parameters())
        return ([("trunk", below)] if below and self.trunk is None else []) + self._groups_of_model()

    def _groups_of_model(self) -> list[tuple[str, list[nn.Parameter]]]:
        if not hasattr(self.model, "group_matcher"):
            return by_child(self.model)
        parameters = dict(self.model.named_parameters())
        groups = group_parameters(
            self.model, self.model.group_matcher(coarse=False)
        )  # {depth: [parameter name]}
        labels = {depth: _label(groups[depth]) for depth in sorted(groups)}
        repeated = {label for label, times in Counter(labels.values()).items() if times > 1}
        return [
            (f"{label}:{depth}" if label in repeated else label, [parameters[name] for name in groups[depth]])
            for depth, label in labels.items()
        ]

    def _move_below(self, trunk: str, input_shape: tuple[int, ...]) -> None:
        """Take the layers up to `trunk` out of the model, where they are a chain: it must come to the same
        features without them."""
        chain = [name for child, module in self.model.named_children() for name in _links(child, module)]
        last = max(
            (place for place, name in enumerate(chain) if f"{name}.".startswith(f"{trunk}.")), default=None
        )
        if last is None:
            raise RequestError(
                f"backbone.trunk={trunk}: the model has no such layer; allowed: "
                f"{', '.join(chain)}{nearest(trunk, chain)}"
            )
        draw = torch.Generator().manual_seed(0)  # the global one draws the head's weights next
        images = torch.randint(0, 256, (2, *input_shape), generator=draw, device="cpu").to(torch.uint8)
        self.eval()
        with torch.no_grad():
            expected = self(images)
            if expected.is_meta:
                raise NotImplementedError("whether the features stay the same is seen in memory alone")
            for name in chain[: last + 1]:
                self.lower.layers.append(self.model.get_submodule(name))
                self.model.set_submodule(name, nn.Identity())
            is_chain = False
            with suppress(Exception):  # a layer that is given what it cannot take
                is_chain = torch.equal(self(images), expected)
        self.train()
        if not is_chain:
            raise NotApplicable(
                f"backbone.trunk={trunk}: the layers of this model up to there are no chain; give trunk=null"
            )

    def _width(self, input_shape: tuple[int, ...]) -> int:
        """Width of the features, asked of the model itself: its attributes do not agree across families."""
        self.eval()
        with torch.no_grad():
            outputs = self(torch.zeros(2, *input_shape, dtype=torch.uint8))
        self.train()
        if outputs.ndim != 2:
            raise ValueError(f"its features have shape {tuple(outputs.shape)}, not [N, d]")
        return outputs.shape[1]


class Lower(nn.Module):
    """uint8 images [N, C, H, W] → normalised by mean and deviation [C, 1, 1], and through the first layers of
    a model, if it has given any."""

    def __init__(self, mean: Tensor, deviation: Tensor):
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)
        self.layers = nn.Sequential()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers((images.float() / 255 - self.mean) / self.deviation)


def _links(name: str, module: nn.Module) -> list[str]:
    """A child of a model, or the parts of one that is a chain itself."""
    return (
        [f"{name}.{part}" for part, _ in module.named_children()]
        if isinstance(module, nn.Sequential)
        else [name]
    )


def _noted(model: str) -> Any:
    """What timm notes of a model and its weights: mean, deviation, image size, origin."""
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        known = timm.list_models()
        raise RequestError(
            f"backbone.model={model}: timm {timm.__version__} has no such model; allowed: its {len(known)} "
            f"models{nearest(model, known)}"
        )
    try:
        return get_pretrained_cfg(model)
    except RuntimeError as error:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        allowed = ", ".join([architecture, *tagged]) + nearest(model, tagged)
        raise RequestError(
            f"backbone.model={model}: {architecture} has no weights '{tag}'; allowed: {allowed}"
        ) from error


def _by_channel(values: tuple[float, ...], channels: int) -> Tensor:
    """One value a channel [C, 1, 1]; their mean where the images have another number of channels."""
    tensor = torch.tensor(values)
    return (tensor if channels == len(values) else tensor.mean().expand(channels)).view(-1, 1, 1).clone()


def _from_hub(model: str, arguments: Mapping[str, Any]) -> nn.Module:
    if not get_pretrained_cfg(model).has_weights:
        raise RequestError(
            f"backbone.weights=pretrained: timm offers no weights for {model}; allowed: random, or the path "
            "of a local file"
        )
    try:
        with hub():
            return timm.create_model(model, pretrained=True, **arguments)
    except OSError as error:  # the hub's client makes one of every failure of the connection
        raise RequestError(
            f"backbone.weights=pretrained: the hub with the weights of {model} could not be reached "
            f"({one_line(error)}); allowed without it: random, or the path of a local file"
        ) from error
    except Exception as error:
        raise RequestError(
            f"backbone.weights=pretrained: do not fit {model} with these arguments ({one_line(error)}); "
            "allowed: random"
        ) from error


def _from_file(
    untrained: nn.Module, path: Path, model: str, arguments: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, int]]:
    """The model with the weights of a file, and how many of its tensors they are. timm adapts keys, positions
    and channels, but ignores missing keys where the file holds a classifier, and goes to its hub where
    nothing is left: the classifier is taken out here, and all that remains, which must be something, must
    fit."""
    if not path.is_file():
        known = nearest(path, ("random", "pretrained"))
        raise RequestError(
            f"backbone.weights={path}: no such file; allowed: random, pretrained, or the path of a local "
            f"file{known}"
        )
    try:
        state = load_state_dict(str(path))
    except Exception as error:  # safetensors, pickle and zip each have their own
        raise RequestError(
            f"backbone.weights={path}: cannot be read as .safetensors or .pth ({one_line(error)})"
        ) from error
    names = untrained.pretrained_cfg.get("classifier", ())
    heads = tuple(name.split(".")[0] + "." for name in ([names] if isinstance(names, str) else names))
    needed = untrained.state_dict().keys()
    whole = state
    state = {key: value for key, value in state.items() if key in needed or not key.startswith(heads)}
    if not state:
        raise RequestError(
            f"backbone.weights={path}: none of its {len(whole)} tensors is one of {model}'s {len(needed)}; "
            "give a file made for it"
        )
    if broken := next(
        (
            key
            for key, value in state.items()
            if value.is_floating_point() and not torch.isfinite(value).all()
        ),
        None,
    ):
        raise RequestError(
            f"backbone.weights={path}: {broken} holds values that are not finite; give whole weights"
        )
    try:
        loaded = timm.create_model(
            model,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": state, "classifier": None},
            **arguments,
        )
    except Exception as error:
        raise RequestError(
            f"backbone.weights={path}: do not fit {model} ({one_line(error)}); "
            "give a file made for this model"
        ) from error
    del loaded.pretrained_cfg["state_dict"]  # else the weights would stay in memory twice
    # strictly: all, or it is refused above
    found = {"taken": len(needed), "of": len(needed), "left_out": len(whole) - len(state)}
    _say_taken(path, **found)
    return loaded, found


@lru_cache(maxsize=32)
def _say_taken(path: Path, taken: int, of: int, left_out: int) -> None:
    """Once a process."""
    print(
        (
            f"backbone.weights={path}: {taken} of {of} tensors taken, {left_out} of the file left out (its "
            "classifier)"
        ),
        file=sys.stderr,
    )


def _label(names: list[str]) -> str:
    """What the parameters of a group have in common: "layer1.0", or "conv1+bn1" where that is nothing."""
    parts: dict[str, list[list[str]]] = {}
    for name in names:
        path = name.split(".")
        parts.setdefault(path[0], []).append(path[:-1] or path)
    return "+".join(".".join(commonprefix(paths)) for paths in parts.values())
