"""What every backbone is: inputs of a batch in, features [N, d] out, layers in order."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from transferscope.errors import NotApplicable, RequestError

if TYPE_CHECKING:
    from transferscope.backbones.neighbours import Neighbours


class Backbone(nn.Module):
    """Features [N, d] from a batch; the head on top of it belongs to the strategy.

    `features` is d. The constructor takes `input_shape` first, (C, H, W) for images or (d,) for arrays;
    random initialisation draws from torch's global generator. trunk: the lower layers where they are frozen:
    training then computes what they give once an item, and batches carry that."""

    features: int
    trunk: nn.Module | None = None
    # the types of inputs it is made for, such as "uint8" for images, "text"; () refuses none
    takes: ClassVar[tuple[str, ...]] = ()
    # of one that takes texts: whether its rows are numbers of tokens, which are no magnitudes
    takes_tokens: ClassVar[bool] = True
    # of one that takes tokens: False where it is the same to it in which order they come
    reads_order: ClassVar[bool] = True
    # True: columns differ in scale on purpose, and a linear model takes them as they are
    scaled: ClassVar[bool] = False
    # True: nothing in it is drawn or trained, its features follow from the inputs alone
    weightless: ClassVar[bool] = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs as the batch carries them, uint8 images [N, C, H, W] or float32 arrays [N, d], to features
        [N, d]; scales them itself."""
        raise NotImplementedError

    @classmethod
    def reader(cls, **arguments: Any) -> "Any | None":
        """How it takes texts (data/texts.py: Reader), from the arguments of its constructor; None: it takes
        none."""
        return None

    def keep_reader(self, reader: Any) -> None:
        """Of a backbone whose reader is fitted to texts: take what it has counted along in the state."""

    def kept_reader(self) -> Any:
        """The reader that the state holds; None where the constructor's arguments say all of it."""
        return None

    @classmethod
    def identity(cls, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Of the arguments that name files or folders, beside `weights`, what stands in the fingerprint:
        their content, as the path is not what a run consumes."""
        return {}

    def neighbours(self) -> "Neighbours | None":
        """Of one whose tokens are words with vectors: the nearest of each word, for
        trainer.augmentation=neighbours."""
        return None

    def freeze_trunk(self) -> None:
        """Called where the weights were transferred: sets `trunk`, of a backbone that was asked to keep its
        lower layers as they came."""

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        """Parameters by layer, input side first, each parameter in one group: here one group a child, in the
        order of definition."""
        return by_child(self)


def by_child(module: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """One group for each child that has parameters (and for each parameter of the module itself)."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        groups.setdefault(name.split(".")[0], []).append(parameter)
    return list(groups.items())


def scale_images(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] in 0..255 → float [N, C, H, W] in -1..1, that is mean 0.5 and deviation 0.5."""
    return images.to(torch.float32, copy=True).div_(127.5).sub_(1)


def require_images(backbone: str, input_shape: tuple[int, ...], smallest: int = 1) -> tuple[int, int, int]:
    """(C, H, W) of the inputs, or `NotApplicable` where they are not images or have a side under `smallest`
    pixels."""
    if len(input_shape) != 3:
        raise NotApplicable(
            f"backbone={backbone}: takes images (C, H, W), but the inputs have shape {tuple(input_shape)}; "
            "for arrays use backbone=mlp, or another that `transferscope list backbones` gives for arrays"
        )
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise NotApplicable(
            f"backbone={backbone}: takes images of {smallest} pixels or more a side, not {height}x{width}; "
            "choose a larger size"
        )
    return channels, height, width


def require_random(backbone: str, weights: str) -> None:
    """`RequestError` for any other weights than random ones: nobody publishes any for this network."""
    if weights != "random":
        raise RequestError(
            f"backbone.weights={weights}: backbone={backbone} has no pretrained weights; allowed: random"
        )
