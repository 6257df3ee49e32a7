"""A convolutional backbone for arrays and small grey images: what a strategy that reads feature maps is run
with on a domain of arrays."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from transferscope.backbones.base import Backbone


class Maps(Backbone):
    """[N, side²] or [N, 1, side, side] → [N, 4 hidden[0]]"""

    def __init__(self, input_shape: tuple[int, ...], hidden: Sequence[int] = (8,), weights: str = "random"):
        super().__init__()
        self.side, self.features = math.isqrt(math.prod(input_shape)), 4 * hidden[0]
        self.standardise = nn.BatchNorm2d(1, affine=False)
        self.conv1 = nn.Conv2d(1, self.features, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(self.features, self.features, kernel_size=2)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = relu(self.conv1(self.standardise(inputs.float().reshape(-1, 1, self.side, self.side))))
        return relu(self.conv2(maps)).mean((2, 3))
