"""The network of PyTorch's MNIST example, which skada-bench calls ShallowConvNet (Lalou et al. 2024, arXiv
2407.11676)."""

from torch import Tensor, nn
from torch.nn.functional import relu

from transferscope.backbones.base import Backbone, require_images, require_random, scale_images


class ShallowConv(Backbone):
    """Images [N, C, H, W] of 8 pixels or more a side → [N, 128]. Only `weights=random`."""

    features = 128
    takes = ("uint8",)

    def __init__(self, input_shape: tuple[int, ...], weights: str = "random"):
        super().__init__()
        channels, height, width = require_images("shallow_conv", input_shape, smallest=8)
        require_random("shallow_conv", weights)
        self.conv1 = nn.Conv2d(channels, 32, kernel_size=3)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)
        self.pool = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.25))
        self.fc = nn.Linear(64 * ((height - 4) // 2) * ((width - 4) // 2), self.features)
        self.dropout = nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = relu(self.conv2(relu(self.conv1(scale_images(inputs)))))  # [N, 64, H - 4, W - 4]
        return self.dropout(relu(self.fc(self.pool(maps).flatten(1))))  # [N, 128]
