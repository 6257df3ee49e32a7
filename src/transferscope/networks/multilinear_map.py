"""The map that joins features and predictions for a conditional discriminator (CDAN: Long et al. 2018, arXiv
1705.10667)."""

import torch
from torch import Tensor, nn


class MultilinearMap(nn.Module):
    """features f [N, d] and predictions g [N, C] → f ⊗ g [N, d C], every product of one entry of f and one of
    g

    Where d C is over `largest` (4096 in the paper) it would be too wide and is replaced by the randomised map
    (R_f f) ⊙ (R_g g) / √width [N, width], whose inner products are right on average; R_f and R_g are standard
    normal, drawn here once from torch's global generator. `outputs` is the width of what comes out."""

    def __init__(self, features: int, classes: int, largest: int = 4096, width: int = 1024):
        super().__init__()
        self.is_random = features * classes > largest
        self.outputs = width if self.is_random else features * classes
        if self.is_random:
            self.register_buffer("of_features", torch.randn(features, width))
            self.register_buffer("of_predictions", torch.randn(classes, width))

    def forward(self, features: Tensor, predictions: Tensor) -> Tensor:
        if self.is_random:
            return (features @ self.of_features) * (predictions @ self.of_predictions) / self.outputs**0.5
        return (features[:, :, None] * predictions[:, None, :]).flatten(1)  # [N, d, C] → [N, d C]
