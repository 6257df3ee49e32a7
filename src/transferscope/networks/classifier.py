"""The network that every strategy trains: a backbone and a linear head."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transferscope.networks.tokens import by_length, is_tokens

if TYPE_CHECKING:
    from transferscope.backbones.base import Backbone
    from transferscope.data.on_disk import OnDisk


class Classifier(nn.Module):
    """logits [N, C] = head(backbone(inputs)); `backbone.features` is the width d between the two."""

    def __init__(self, backbone: "Backbone", classes: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.features, classes)
        # on a CPU convolutions train 1.4 times and predict 2.6 times as fast
        self.to(memory_format=torch.channels_last)
        # S, how many the sources have together; set where that is another number
        self.source_classes = classes
        # of the table that the inputs are rows of (see Domain); set where they are
        self.columns: Mapping[str, Sequence[str]] | None = None
        # which made the rows of texts that it takes; set where it takes texts
        self.reader: Any = None
        # weight [S, d] and bias [S] of the source model that this started from
        self.source_head: dict[str, Tensor] | None = None
        # the weights that the seed's scratch run starts from, for a strategy `beside_scratch`
        self.scratch: dict[str, Tensor] | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(inputs))
        return logits

    def reachable(self) -> list[nn.Module]:
        """Its modules less those of a frozen trunk: what a batch passes in training, and what a strategy can
        change."""
        below = set() if self.backbone.trunk is None else set(self.backbone.trunk.modules())
        return [module for module in self.modules() if module not in below]

    def load_source(self, state: dict[str, Tensor], keep_head: bool) -> None:
        """Start from a source model's weights. The head comes along only where source and target share their
        classes."""
        self.source_head = {part: state[f"head.{part}"] for part in ("weight", "bias")}
        if not keep_head:
            state = {key: value for key, value in state.items() if not key.startswith("head.")}
            state |= {f"head.{key}": value for key, value in self.head.state_dict().items()}
        self.load_state_dict(state)


# of inputs: a network's first maps hold several times as many values, in four bytes each
CHUNK_VALUES = 2**23


@torch.no_grad()
def in_chunks(
    function: Callable[[Tensor], Tensor],
    inputs: "Tensor | OnDisk",
    device: torch.device | str,
    size: int = 512,
) -> Tensor:
    """function(inputs) without gradients, `size` items at a time or as many as CHUNK_VALUES allows, on the
    CPU: [N, ...]."""
    if is_tokens(inputs):
        return by_length(function, inputs, device)
    size = max(1, min(size, CHUNK_VALUES // math.prod(inputs.shape[1:])))
    whole: Tensor | None = None
    done = 0
    for chunk in inputs.split(size):
        part = function(chunk.to(device)).float().cpu()
        if (
            whole is None
            # in one piece: small ones would settle in the holes that large maps leave, which grow
            # from chunk to chunk
        ):
            whole = part.new_empty(len(inputs), *part.shape[1:])
        whole[done : done + len(part)] = part
        done += len(part)
    if whole is None:
        raise ValueError("there is no input")
    return whole
