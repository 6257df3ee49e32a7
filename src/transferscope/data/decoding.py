"""Encoded pictures to squares of one size, eight bits a pixel, as a person sees them."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from transferscope.errors import RequestError

CHANNELS = {1: "L", 3: "RGB"}
DECODING = 2  # raised when `decode_squares` gives other pixels
DEEPEST = 65535  # white of 16 bits
FAINT = 8  # grey levels: what differs by less is not seen
Encoded = tuple[str, Callable[[], BinaryIO]]  # name for messages, function that opens the bytes


def decode_squares(pictures: Iterable[Encoded], size: int, channels: int, white: int = DEEPEST) -> Tensor:
    """Encoded pictures → uint8 [N, channels, size, size].

    Turned upright by EXIF, scaled so that the shorter side is `size`, cropped to the middle. What is
    transparent shows a white ground, or a black one where nothing would be seen on white. Greys of 16 bits: 0
    to `white`, a number that `white_of` gives, become 0 to 255. Raises RequestError naming the first picture
    that cannot be decoded."""
    check_shape(size, channels)
    return torch.from_numpy(
        np.stack(_of_each(partial(square, size=size, channels=channels, white=white), pictures))
    )


def square(image: Image.Image, size: int, channels: int, white: int = DEEPEST) -> np.ndarray:
    """uint8 [channels, size, size] of one picture; see `decode_squares`."""
    upright = _on_ground(_eight_bits(ImageOps.exif_transpose(image), white)).convert(CHANNELS[channels])
    fitted = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(fitted).reshape(size, size, channels).transpose(2, 0, 1)


def check_shape(size: int, channels: int) -> None:
    if size < 1:
        raise RequestError(f"size={size}; allowed: a whole number of pixels from 1")
    if channels not in CHANNELS:
        raise RequestError(f"channels={channels}; allowed: 1 (grey) or 3 (colour)")


def white_of(pictures: Iterable[Encoded]) -> int | None:
    """The white of all 16-bit greys among the pictures: the largest value that the fewest bits which hold
    every one of them can have.

    255, 511 … 65535: a camera's depth, which does not depend on the brightest pixel. None where no picture
    has more than 8 bits. Raises RequestError naming the first picture that cannot be decoded."""
    largest = max(
        _of_each(lambda image: int(_deep(image).max()) if _is_deep(image) else -1, pictures), default=-1
    )
    return None if largest < 0 else 2 ** max(8, largest.bit_length()) - 1


def _of_each(function: Callable[[Image.Image], object], pictures: Iterable[Encoded]) -> list:
    def decode(picture: Encoded) -> object:
        label, opened = picture
        try:
            with opened() as stream:
                if not stream.read(1):
                    raise ValueError("empty file")
                stream.seek(0)
                with Image.open(stream) as image:
                    return function(image)
        except UnidentifiedImageError as error:
            raise RequestError(
                f"{label}: cannot be decoded (of no known picture format); mend or remove the file"
            ) from error
        except Exception as error:  # decoders of foreign bytes raise anything, from OSError to SyntaxError
            raise RequestError(
                f"{label}: cannot be decoded ({' '.join(str(error).split())}); mend or remove the file"
            ) from error

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        return list(pool.map(decode, pictures))


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I")


def _deep(image: Image.Image) -> np.ndarray:
    """The values of a 16-bit grey, which Pillow may hold in 32 bits."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > DEEPEST:
        raise ValueError("32 bits a pixel, where no value stands for white")
    return values


def _eight_bits(image: Image.Image, white: int) -> Image.Image:
    """Pillow's own conversion cuts deeper greys off at 255."""
    if _is_deep(image):
        return Image.fromarray(
            (_deep(image) >> max(0, white.bit_length() - 8)).clip(max=255).astype(np.uint8)
        )
    if image.mode == "F":
        raise ValueError("32 bits a pixel, where no value stands for white")
    return image


def _on_ground(image: Image.Image) -> Image.Image:
    """Without transparency. Pillow's own conversion shows whatever colour an invisible pixel has."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    low, high = image.getchannel("A").getextrema()
    if low == 255:
        return image
    seen = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    darkest, brightest = seen.convert("L").getextrema()
    if low < high and brightest - darkest < FAINT and darkest > 255 - FAINT:  # white ink
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return seen
