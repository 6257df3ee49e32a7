"""A multilayer perceptron for inputs that are arrays: coordinates, word counts, features computed
elsewhere."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from transferscope.backbones.base import Backbone, require_random
from transferscope.errors import NotApplicable, RequestError


class MLP(Backbone):
    """Arrays [N, d] → [N, hidden[-1]] through fully connected layers of the widths `hidden`, each with a
    ReLU. Only `weights=random`.

    The scale of an array is unknown when the network is built (counts, coordinates, ...), and ReLU layers
    train badly on inputs far from unit scale. So each feature is standardised by a BatchNorm without
    parameters, which learns mean and deviation from the training batches it is given, never from anything a
    strategy does not see. Batches need two items or more in training."""

    takes = ("float32",)

    def __init__(
        self, input_shape: tuple[int, ...], hidden: Sequence[int] = (256, 256), weights: str = "random"
    ):
        super().__init__()
        if len(input_shape) != 1:
            raise NotApplicable(
                f"backbone=mlp: takes arrays (d,), but the inputs have shape {tuple(input_shape)}; "
                "for images use backbone=small_cnn, or another that `transferscope list backbones` gives "
                "for images"
            )
        if not hidden or any(width < 1 for width in hidden):
            raise RequestError(
                f"backbone.hidden={list(hidden)}: allowed: a list of one or more positive widths, such as "
                "[256, 256]"
            )
        require_random("mlp", weights)
        self.features = hidden[-1]
        self.standardise = nn.BatchNorm1d(input_shape[0], affine=False)
        self.layers = nn.ModuleList(
            nn.Linear(width, following) for width, following in pairwise([input_shape[0], *hidden])
        )

    def forward(self, inputs: Tensor) -> Tensor:
        # The bound is for rare words: a feature that was constant in recent batches has next to no deviation
        # and would dominate.
        outputs = self.standardise(inputs).clamp(-5, 5)
        for layer in self.layers:
            outputs = relu(layer(outputs))
        return outputs  # [N, hidden[-1]]

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [(f"layers.{i}", list(layer.parameters())) for i, layer in enumerate(self.layers)]
