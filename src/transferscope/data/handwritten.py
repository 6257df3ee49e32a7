"""The 1797 handwritten digits that ship with scikit-learn (UCI, Alpaydin and Kaynak 1998), 8×8 grey, in two
halves that share no item.

One half as it is and the other under a stated change make a source and a target that are related by
construction."""

from typing import Literal

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from transferscope.data.domain import Domain

HALVES_SEED = 1797  # of the halves only: no seed of a run may move an item from one half to the other


def load(
    name: str,
    half: Literal["first", "second"],
    rotation: float = 0.0,
    contrast: float = 1.0,
    test_fraction: float = 0.5,
) -> Domain:
    """inputs uint8 [~898, 1, 8, 8], white on black; classes "0" to "9"; ids such as "digit-0123", the place
    in scikit-learn's set.

    half: which half, equal shares of every class.
    rotation: degrees, counter-clockwise, about the centre, bilinear.
    contrast: factor on the pixel values; 1 leaves them, 0.5 halves the brightest.
    """
    digits = load_digits()
    members = np.flatnonzero(_in_first_half(digits.target) == (half == "first"))
    images = [_changed(digits.images[i] * (255 / 16), rotation, contrast) for i in members]
    return Domain.build(
        name,
        torch.from_numpy(np.stack(images)[:, None]),
        digits.target[members].astype(str).tolist(),
        [f"digit-{i:04d}" for i in members],
        test_fraction=test_fraction,
    )


def _in_first_half(digits: np.ndarray) -> np.ndarray:
    """bool [N]; every other item of each class in an order drawn once and for all."""
    order = np.random.default_rng(HALVES_SEED).permutation(len(digits))
    first = np.zeros(len(digits), dtype=bool)
    for digit in np.unique(digits):
        first[order[digits[order] == digit][::2]] = True
    return first


def _changed(image: np.ndarray, rotation: float, contrast: float) -> np.ndarray:
    """float [8, 8] in 0..255 → uint8 [8, 8]"""
    image = Image.fromarray((image * contrast).round().astype(np.uint8))
    return np.asarray(image.rotate(rotation, Image.Resampling.BILINEAR))
