"""Batch spectral shrinkage (Chen et al. 2019, "Catastrophic Forgetting Meets Negative Transfer", NeurIPS
32)."""

import torch
from torch import Tensor

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning


class BSS(FineTuning):
    """min E_T [ -log p_y(x) ] + η Σ_{i=1..k} σ_{-i}²   (L_bss)

    σ_{-i}: the i-th smallest of the min(N, d) singular values of a batch's features F = f(x) [N, d]:
    directions that small data cannot use and that make untransferable features. It regularises plain
    fine-tuning here; the paper adds it to other methods too.

    k: how many singular values; all of them where there are fewer.
    """

    def __init__(self, network: Classifier, eta: float = 0.001, k: int = 1):
        super().__init__(network)
        if k < 1:
            raise RequestError(
                f"strategy.k={k}: a number of singular values of at least 1 is needed (for none: "
                "strategy.eta=0)"
            )
        self.eta, self.k = eta, k

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features = self.network.backbone(batch.target.inputs)  # [N, d]
        # descending; of NaN it would raise, which the other term tells
        singular = torch.linalg.svdvals(features.float().nan_to_num())
        return {
            "target": self.task_loss(self.network.head(features), batch.target.labels),
            "spectrum": self.eta * singular[-self.k :].square().sum(),
        }
