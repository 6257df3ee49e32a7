"""Tensors whose shape and type are facts of the data: unknown when a kept or interrupted model is built anew,
known from what is loaded."""

from typing import Any

from torch import Tensor, nn


class SizedOnLoad(nn.Module):
    """A module whose own parameters and buffers take the shapes of the state that is loaded into it, and
    buffers its types: labels are classes or values."""

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, tensor in [*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)]:
            if prefix + name in state:
                given = state[prefix + name]
                dtype = tensor.dtype if isinstance(tensor, nn.Parameter) else given.dtype
                tensor.data = tensor.new_empty(given.shape, dtype=dtype)
        super()._load_from_state_dict(state, prefix, *rest)
