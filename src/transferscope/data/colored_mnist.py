"""Coloured MNIST (Arjovsky et al. 2019, arXiv 1907.02893, section 5.2): colour tells the class, and in one
domain the other way round.

Three domains as in DomainBed (Gulrajani & Lopez-Paz 2021, arXiv 2007.01434): thirds of MNIST, so that no
digit is in two of them."""

from typing import cast

import torch

from transferscope.data import mnist
from transferscope.data.domain import Domain
from transferscope.data.splits import generator
from transferscope.errors import RequestError

DOMAINS = 3
LABEL_FLIPS = 0.25
CLASSES = ("0 to 4", "5 to 9")


def load(name: str, data_root: str, third: int, colour_flips: float, download: bool = False) -> Domain:
    """inputs uint8 [23333 or 23334, 3, 28, 28]; classes "0 to 4" and "5 to 9"; ids as in mnist.

    A quarter of the labels are flipped, so that the shape of a digit is right in 75 %. The colour is red for
    the first class and green for the second, flipped in a share `colour_flips`; blue stays empty. third: 0, 1
    or 2. The official split is not kept."""
    if third not in range(DOMAINS):
        raise RequestError(f"third={third}; allowed: 0, 1, 2")
    if not 0 <= colour_flips <= 1:
        raise RequestError(f"colour_flips={colour_flips}; allowed: a share between 0 and 1")
    digits = mnist.load(name, data_root, download)
    items = generator("colored_mnist").permutation(len(digits))[third::DOMAINS]
    draw = generator("colored_mnist", third, colour_flips)
    labels = (digits.labels[items].numpy() > 4) ^ (draw.random(len(items)) < LABEL_FLIPS)
    colours = torch.from_numpy(labels ^ (draw.random(len(items)) < colour_flips)).long()
    inputs = torch.zeros(len(items), 3, 28, 28, dtype=torch.uint8)
    inputs[torch.arange(len(items)), colours] = cast(torch.Tensor, digits.inputs)[items, 0]
    return Domain.build(name, inputs, [CLASSES[label] for label in labels.astype(int)], digits.ids[items])
