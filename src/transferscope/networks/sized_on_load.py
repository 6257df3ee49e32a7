"""Tensors whose shape is a fact of the data: unknown when a kept or interrupted model is built anew, known
from what is loaded."""

from typing import Any

from torch import Tensor, nn


class SizedOnLoad(nn.Module):
    """A module whose own parameters and buffers take the shapes of the state that is loaded into it."""

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, tensor in [*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)]:
            if prefix + name in state:
                tensor.data = tensor.new_empty(state[prefix + name].shape)
        super()._load_from_state_dict(state, prefix, *rest)
