"""Layers on top of features that stay as they are."""

from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from transferscope.backbones.base import Backbone
from transferscope.backbones.mlp import MLP


class WithLayersOnTop(Backbone):
    """A backbone of texts that may have layers on top, those of an MLP. What is below them then stays as it
    was transferred, and is computed once an item: there is something to train where training the whole would
    take too long. From random weights all of it is trained."""

    below: ClassVar[str]  # what its features come from, by name: all of its weights but those on top
    above: MLP | None
    is_frozen = False

    def put_on_top(self, hidden: Sequence[int]) -> None:
        """Layers of these widths, none for none. Called last by the constructor."""
        self.above = MLP((self.features,), hidden) if hidden else None
        self.features = self.above.features if self.above else self.features

    def encode(self, inputs: Tensor) -> Tensor:
        """Rows of tokens [N, L] → features below the layers on top [N, d]."""
        raise NotImplementedError

    def groups_below(self) -> list[tuple[str, list[nn.Parameter]]]:
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        # what a frozen trunk gave comes in place of tokens
        features = inputs if inputs.is_floating_point() else self.encode(inputs)
        return features if self.above is None else self.above(features)

    @property
    def trunk(self) -> nn.Module | None:  # type: ignore[override]
        return Trunk(self) if self.is_frozen else None

    def freeze_trunk(self) -> None:
        self.is_frozen = self.above is not None
        if self.is_frozen:
            getattr(self, self.below).requires_grad_(False)
            self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.is_frozen and isinstance(below := getattr(self, self.below), nn.Module):
            below.eval()
        return self

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        groups = [] if self.is_frozen else self.groups_below()
        return groups + ([] if self.above is None else self.above.layer_groups())


class Trunk(nn.Module):
    """What a backbone computes below the layers on top, with its weights under the same names: what the
    store keeps of the backbone alone serves it too."""

    def __init__(self, backbone: WithLayersOnTop):
        super().__init__()
        setattr(self, backbone.below, getattr(backbone, backbone.below))
        self.encode = backbone.encode

    def forward(self, inputs: Tensor) -> Tensor:
        return self.encode(inputs)
