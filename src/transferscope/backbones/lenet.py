"""LeNet in the form that the papers on digits use."""

from torch import Tensor, nn
from torch.nn.functional import relu

from transferscope.backbones.base import Backbone, require_images, require_random, scale_images


class LeNet(Backbone):
    """LeCun et al. 1998 in Caffe's 20-50-500 form, as in ADDA (Tzeng et al. 2017); dropout as in CDAN's code
    (Long et al. 2018).

    Images [N, C, H, W] of 16 pixels or more a side → [N, 500]. Only `weights=random`.
    """

    features = 500
    takes = ("uint8",)

    def __init__(self, input_shape: tuple[int, ...], weights: str = "random"):
        super().__init__()
        channels, height, width = require_images("lenet", input_shape, smallest=16)
        require_random("lenet", weights)
        # left by two unpadded 5x5 convolutions, each halved
        rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
        self.conv1 = nn.Conv2d(channels, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.dropout = nn.Dropout2d(0.5)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(50 * rows * columns, self.features)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = relu(self.pool(self.conv1(scale_images(inputs))))  # [N, 20, (H - 4) / 2, (W - 4) / 2]
        maps = relu(self.pool(self.dropout(self.conv2(maps))))  # [N, 50, rows, columns]
        return relu(self.fc(maps.flatten(1)))  # [N, 500]
