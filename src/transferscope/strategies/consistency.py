"""Consistency: FixMatch on the target alone, the stronger of the two controls without a source (Sohn et al.
2020, arXiv 2001.07685)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from transferscope.data.augmentation import augment
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class Consistency(Strategy):
    """min E_T [ -log p_y(α(x)) ] + λ E_U [ 1[max p(α(x)) ≥ τ] (-log p_ŷ(A(x))) ],  ŷ = argmax p(α(x))
    (FixMatch, section 2.2)

    α, A: a weak and a strong view of an item, each by draws of its own; no gradient reaches ŷ or the
    indicator, and the second mean is over all items of the batch, sure or not. It sees what target_ssl sees
    and no source. Of pictures α is a shift by up to an eighth of a side (of photographs mirrored too: flip),
    A such a shift, then contrast times 0.5 to 1.5, brightness up to a quarter up or down and a grey square of
    half a side somewhere (Cutout: DeVries & Taylor 2017, arXiv 1708.04552). Of arrays, and of what a frozen
    trunk gives, α is the item itself, A adds Gaussian noise of `noise` standard deviations of each feature
    over the batch. `trainer.augmentation` comes on top of both. Deviations: these views in place of
    RandAugment; as many unlabelled items a step as labelled ones at most (batch_size), where the paper has
    seven times as many; no average of the weights over the steps; all views pass the network in one batch.

    trade_off: λ, and threshold: τ, are the paper's. noise, flip: ours.
    """

    needs = frozenset({"classes"})
    changes_inputs = True
    sees = frozenset({"target_inputs", "target_labels"})

    def __init__(
        self,
        network: Classifier,
        trade_off: float = 1.0,
        threshold: float = 0.95,
        noise: float = 0.5,
        flip: bool = False,
    ):
        super().__init__(network)
        if not 0 <= threshold <= 1:
            raise RequestError(f"strategy.threshold={threshold}: a probability is needed")
        self.trade_off, self.threshold, self.noise, self.flip = trade_off, threshold, noise, flip

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        views = self.weak(batch.target.inputs), self.weak(batch.unlabelled), self.strong(batch.unlabelled)
        labelled, weak, strong = self.logits_of(*views)
        sure, pseudo_labels = softmax(weak.detach(), dim=1).max(1)  # [N], [N]
        loss = cross_entropy(strong, pseudo_labels, reduction="none")
        return {
            "target": self.task_loss(labelled, batch.target.labels),
            "consistency": self.trade_off * ((sure >= self.threshold) * loss).mean(),
        }

    def weak(self, inputs: Tensor) -> Tensor:
        """α"""
        if not is_pictures(inputs):
            return inputs
        return augment(
            inputs, torch.rand(len(inputs), 3, device=inputs.device), "crop_flip" if self.flip else "crop"
        )

    def strong(self, inputs: Tensor) -> Tensor:
        """A"""
        if not is_pictures(inputs):
            return inputs + self.noise * inputs.std(0, correction=0) * torch.randn_like(inputs)
        return cut_out(recoloured(self.weak(inputs)))


def is_pictures(inputs: Tensor) -> bool:
    return inputs.dtype == torch.uint8 and inputs.ndim == 4


def recoloured(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] → the same, of other contrast about the image's mean and other brightness."""
    contrast, brightness = torch.rand(2, len(images), 1, 1, 1, device=images.device)
    values = images.float()
    mean = values.mean((1, 2, 3), keepdim=True)
    return (
        ((values - mean) * (0.5 + contrast) + mean + 255 * (brightness - 0.5) / 2)
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
    )


def cut_out(images: Tensor) -> Tensor:
    """uint8 [N, C, H, W] → the same with a square of half the shorter side in grey, all of it within the
    image."""
    height, width = images.shape[2:]
    side = min(height, width) // 2
    top, left = (
        (torch.rand(len(images), 1, device=images.device) * (size - side + 1)).floor()
        for size in (height, width)
    )
    rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
    inside = ((rows >= top) & (rows < top + side))[:, :, None] & (
        (columns >= left) & (columns < left + side)
    )[:, None, :]
    return images.masked_fill(inside[:, None], 127)
