"""What becomes of normalisation statistics where a part of the network is not trained."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def hold_statistics(module: nn.Module) -> None:
    """Put batch normalisation that is not trained into evaluation mode: it normalises by the statistics that it came with.

    A layer is trained where one of its own parameters is (`requires_grad`), and one without parameters where all of `module` is. So a frozen
    part computes exactly what it did before, and with everything trained nothing is held. `module` is expected in training mode.
    """
    everything = all(parameter.requires_grad for parameter in module.parameters())
    for layer in module.modules():
        if isinstance(layer, _NormBase):  # batch and instance normalisation, and what libraries derive from them
            own = [parameter.requires_grad for parameter in layer.parameters(recurse=False)]
            if not (any(own) if own else everything):
                layer.eval()
