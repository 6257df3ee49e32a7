"""A small convolutional network for images of 16 to 32 pixels, quick on a CPU."""

from torch import Tensor, nn

from transferscope.backbones.base import Backbone, require_images, require_random, scale_images


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, BatchNorm, ReLU, halved: [N, inputs, H, W] → [N, outputs, H / 2, W / 2]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


class SmallCNN(Backbone):
    """Three convolutions with BatchNorm and a mean over the image: [N, C, H, W] of 8 pixels or more a side →
    [N, 64].

    Only `weights=random`.
    """

    features = 64
    takes = ("uint8",)

    def __init__(self, input_shape: tuple[int, ...], weights: str = "random"):
        super().__init__()
        channels, _, _ = require_images("small_cnn", input_shape, smallest=8)
        require_random("small_cnn", weights)
        self.conv1 = convolution(channels, 16)
        self.conv2 = convolution(16, 32)
        self.conv3 = convolution(32, self.features)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.conv3(self.conv2(self.conv1(scale_images(inputs))))  # [N, 64, H / 8, W / 8]
        return maps.mean((2, 3))  # [N, 64]
