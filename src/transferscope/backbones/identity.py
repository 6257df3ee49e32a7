"""No backbone: the arrays themselves are the features, such as those that another network or a bag of words
gave."""

from torch import Tensor

from transferscope.backbones.base import Backbone
from transferscope.errors import NotApplicable


class Identity(Backbone):
    """Arrays [N, d] → [N, d], as they are. It has no weights: nothing is drawn, transferred or trained but
    what sits on top of it."""

    takes = ("float32",)
    weightless = True

    def __init__(self, input_shape: tuple[int, ...]):
        super().__init__()
        if len(input_shape) != 1:
            raise NotApplicable(
                f"backbone=identity: takes arrays (d,), but the inputs have shape {tuple(input_shape)}; "
                "for images use backbone=small_cnn, or another that `transferscope list backbones` gives "
                "for images"
            )
        self.features = input_shape[0]

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs
