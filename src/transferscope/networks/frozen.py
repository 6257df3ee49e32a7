"""What is not trained: the features of a frozen backbone, and what becomes of normalisation statistics."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from transferscope.networks.tokens import frozen, is_tokens

if TYPE_CHECKING:
    from transferscope.data.on_disk import OnDisk

CHUNK = 32  # items
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def frozen_features(backbone: nn.Module, inputs: "Tensor | OnDisk", device: torch.device | str) -> Tensor:
    """Features [N, d], float32 on the CPU, of a backbone in evaluation mode.

    A pass always holds CHUNK items, the last one its last item several times: which kernels a library takes
    depends on how many there are, and with it the last bits. So an item's features are the same bits whatever
    it is computed with."""
    if is_tokens(inputs):
        return frozen(backbone, inputs, device)
    features = []
    for chunk in inputs.split(CHUNK):
        filled = torch.cat([chunk, chunk[-1:].expand(CHUNK - len(chunk), *chunk.shape[1:])])
        features.append(backbone(filled.to(device))[: len(chunk)].float().cpu())
    return torch.cat(features)


def hold_statistics(module: nn.Module) -> None:
    """Put batch normalisation that is not trained into evaluation mode: it normalises by the statistics that
    it came with.

    A layer is trained where one of its own parameters is (`requires_grad`), and one without parameters where
    all of `module` is. So a frozen part computes exactly what it did before, and with everything trained
    nothing is held. `module` is expected in training mode."""
    everything = all(parameter.requires_grad for parameter in module.parameters())
    for layer in module.modules():
        if isinstance(
            layer, _NormBase
        ):  # batch and instance normalisation, and what libraries derive from them
            own = [parameter.requires_grad for parameter in layer.parameters(recurse=False)]
            if not (any(own) if own else everything):
                layer.eval()
