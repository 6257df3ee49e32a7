"""SimCLR (Chen et al. 2020, arXiv 2002.05709): an initialisation from images without labels. It has no
yaml."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize, relu

from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class SimCLR(Strategy):
    """min over f, g of the mean of -log exp(s_ij / τ) / Σ_{k ≠ i} exp(s_ik / τ), s the cosines of g(f(·)), i
    and j two views of an image   (eq. 1)

    The 2 N views of N source images are each other's negatives. g is the paper's head with one hidden layer,
    d → d → 128, and is thrown away afterwards. The views are those of the paper's CIFAR-10 runs (appendix
    B.9), for small images: `view`. Deviations of the views: no distortion of the hue; a crop longer than the
    image is cut to it, where common code draws anew (on average 0.53 of the area is left, and 0.49 there);
    the aspect is in units of the image's own; brightness, contrast and saturation come in this order and are
    clamped once; grey is the plain mean of the channels.

    temperature: τ, 0.5 as in those runs.
    """

    sees = frozenset({"source_inputs"})
    outputs: ClassVar[int] = 128  # of the head that is thrown away afterwards

    def __init__(self, network: Classifier, temperature: float = 0.5):
        super().__init__(network)
        self.temperature = temperature
        self.hidden = nn.Linear(network.backbone.features, network.backbone.features)

    def logits(self, inputs: Tensor) -> Tensor:
        return self.network.head(relu(self.hidden(self.network.backbone(inputs))))  # g(f(x)) [N, 128]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        images = batch.source.inputs
        return {"contrast": contrast(self.logits(torch.cat([view(images), view(images)])), self.temperature)}


def contrast(projections: Tensor, temperature: float) -> Tensor:
    """NT-Xent of 2 N projections [2 N, p], item i beside item i + N; a scalar."""
    directions = normalize(projections, dim=1)
    similarities = (directions @ directions.T / temperature).fill_diagonal_(-torch.inf)
    return cross_entropy(
        similarities, torch.arange(len(projections), device=projections.device).roll(len(projections) // 2)
    )


def view(images: Tensor) -> Tensor:
    """Images [N, C, H, W] in 0..255 → a random view of each: float, of the same shape and range.

    A crop of 8 to 100 % of the area and an aspect ratio of 3:4 to 4:3, brought back to full size, mirrored
    half of the time; for 80 % other brightness, contrast and (of three channels) saturation, each by up to 40
    %; a fifth of those with three channels grey."""

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(len(images), device=images.device).uniform_(low, high)

    area, aspect = draw(0.08, 1), draw(math.log(3 / 4), math.log(4 / 3)).exp()
    # as shares of the image's
    width, height = ((area * aspect).sqrt().clamp_max(1), (area / aspect).sqrt().clamp_max(1))
    crop = images.new_zeros((len(images), 2, 3), dtype=torch.float32)
    crop[:, 0, 0], crop[:, 1, 1] = width * draw(-1, 1).sign(), height
    crop[:, 0, 2], crop[:, 1, 2] = (1 - width) * draw(-1, 1), (1 - height) * draw(-1, 1)
    views = grid_sample(
        images.float(),
        affine_grid(crop, list(images.shape), align_corners=False),
        padding_mode="border",
        align_corners=False,
    )
    changed = (draw(0, 1) < 0.8).float()
    brightness, contrast, saturation = ((1 + 0.4 * changed * draw(-1, 1)).view(-1, 1, 1, 1) for _ in range(3))
    views = views * brightness
    mean = views.mean((1, 2, 3), keepdim=True)
    views = mean + contrast * (views - mean)
    if images.shape[1] == 3:
        grey = views.mean(1, keepdim=True)
        saturation = torch.where((draw(0, 1) < 0.2).view(-1, 1, 1, 1), 0.0, saturation)
        views = grey + saturation * (views - grey)
    return views.clamp(0, 255)
