"""Random changes of image batches in memory, on the device where they lie: crops and flips of torch alone,
the others by kornia.

On one core, batches of 64 images, torchvision on PIL images = 1. Grey, 28 px: crop_flip 42 (kornia's own crop
and flip 6, torchvision.transforms.v2 on tensors 39 but with one draw for the whole batch, and 2.7 with one an
image), affine 4.8. Colour, 64 px: crop_flip 8.4, affine 1.7, crop_flip_color 1.7. kornia's RandAugment is
left out: it draws its operations once a batch."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from transferscope.errors import RequestError

BY_KORNIA = ("affine", "crop_flip_color")
AUGMENTATIONS = ("none", "crop", "crop_flip", *BY_KORNIA)
REACH = 8  # a crop moves an image by up to an eighth of its side, as padding 4 of 32 pixels does


# one of AUGMENTATIONS, or of those of texts (training/text_augmentation.py), or a transform's `_target_` and
# arguments
Augmentation = str | dict[str, Any]


def augment(images: Tensor, draws: Tensor, augmentation: Augmentation) -> Tensor:
    """Each image [C, H, W] of uint8 [N, C, H, W] changed by its own draw, its border repeated to where it
    leaves off.

    `crop` moves it; `crop_flip` mirrors half of them, too; `crop_flip_color` then changes brightness,
    contrast, saturation and hue; `affine` turns, scales and moves it, between pixels.

    draws: uniform in [0, 1), [N, 3]: down, right, mirrored. What kornia, or a transform, draws follows from
    the first of them.
    """
    if isinstance(augmentation, dict):
        return _transformed(images, float(draws[0, 0]), transform(json.dumps(augmentation)))
    if augmentation != "affine":
        images = _crop(images, draws, flip=augmentation != "crop")
    return (
        _by_kornia(images, float(draws[0, 0]), kornia_module(augmentation))
        if augmentation in BY_KORNIA
        else images
    )


@cache
def kornia_module(augmentation: str) -> nn.Module:
    """float [N, C, H, W] in 0..1 → the same, each image by a draw of its own. Raises RequestError where
    kornia is not installed."""
    try:
        from kornia.augmentation import ColorJitter, RandomAffine
    except ImportError as error:
        raise RequestError(
            f"trainer.augmentation={augmentation}: kornia is not installed; pip install "
            "'transferscope[augmentation]'"
        ) from error
    if augmentation == "affine":
        return RandomAffine(
            degrees=10, translate=(1 / REACH, 1 / REACH), scale=(0.9, 1.1), padding_mode="border", p=1
        )
    # the formulas, and usual strengths, of torchvision's
    return ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=1)


@cache
def transform(given: str) -> Callable[[Tensor], Tensor]:
    """The transform of a `_target_` and its arguments, as JSON."""
    made: Callable[[Tensor], Tensor] = instantiate(json.loads(given), _convert_="all")
    return made


def _transformed(images: Tensor, draw: float, made: Callable[[Tensor], Tensor]) -> Tensor:
    """Of kornia's: each image by a draw of its own, and of float in 0..1; of others, such as those of
    torchvision.transforms.v2: the uint8 batch at once."""
    if type(made).__module__.partition(".")[0] == "kornia":
        return _by_kornia(images, draw, cast(nn.Module, made))
    with _drawn_from(draw):
        changed = made(images)
    if changed.shape != images.shape or changed.dtype != images.dtype:
        raise RequestError(
            f"trainer.augmentation: {type(made).__name__} makes {changed.dtype} {tuple(changed.shape)} of a "
            f"batch that is {images.dtype} {tuple(images.shape)}; the same type and shape are needed"
        )
    return changed


@contextmanager
def _drawn_from(draw: float) -> Iterator[None]:
    """Transforms draw from torch's generator on the CPU, which is what it was afterwards."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(int(draw * 2**53))
        yield


def _by_kornia(images: Tensor, draw: float, module: nn.Module) -> Tensor:
    with _drawn_from(draw), torch.autocast(images.device.type, enabled=False):
        return (module(images / 255) * 255).round().clamp(0, 255).to(torch.uint8)


def _crop(images: Tensor, draws: Tensor, flip: bool) -> Tensor:
    """Values are those of the image, of its own type: nothing is interpolated."""
    channels, height, width = images.shape[1:]
    rows, columns = _places(draws[:, 0], height), _places(draws[:, 1], width)  # [N, H], [N, W]
    if flip:
        columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns)
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # [N, H W]
    return images.flatten(2).gather(2, places[:, None].expand(-1, channels, -1)).view_as(images)


def _places(draws: Tensor, side: int) -> Tensor:
    """Which of `side` rows to take for each row, for each draw: [N, side]"""
    reach = max(1, side // REACH)
    shifts = (draws * (2 * reach + 1)).floor().long() - reach
    return (torch.arange(side, device=draws.device) + shifts[:, None]).clamp(0, side - 1)
