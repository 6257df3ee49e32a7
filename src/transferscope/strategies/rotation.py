"""Rotation prediction (Gidaris, Singh & Komodakis 2018, arXiv 1803.07728): an initialisation from images
without labels. It has no yaml."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from transferscope.errors import NotApplicable
from transferscope.strategies.base import Batch, Strategy


class Rotation(Strategy):
    """min E_S [ mean over k = 0 … 3 of -log p_k(x turned by k · 90°) ]   (eq. 2 and 3), p the four outputs of
    the network's head

    Each image is seen in all four turns, as in the paper, so a step passes 4 N images [4 N, C, H, H].
    """

    sees = frozenset({"source_inputs"})
    outputs: ClassVar[int] = 4  # of the head that is thrown away afterwards

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        images = batch.source.inputs
        height, width = images.shape[2:]
        if height != width:
            raise NotApplicable(
                f"initialisation=rotation: pictures of {height} x {width} pixels change their shape when "
                "turned; give image_size"
            )
        turned = torch.cat([torch.rot90(images, k, dims=(2, 3)) for k in range(4)])
        return {
            "rotation": cross_entropy(
                self.logits(turned), torch.arange(4, device=images.device).repeat_interleave(len(images))
            )
        }
