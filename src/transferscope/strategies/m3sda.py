"""M3SDA: the moments of several sources and of the target brought together (Peng et al. 2019, ICCV, arXiv
1812.01754)."""

from itertools import combinations

import torch
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class M3SDA(Adaptation):
    """min E_S [ -log p_y(x) ] + λ Σ_{k=1,2} ( mean_i |E_i[f^k] - E_U[f^k]| + mean_{i<j} |E_i[f^k] - E_j[f^k]|
    )   (eq. 1)

    f^k [N, d]: the backbone's features, each to the power k; E_i: mean over the items of source i in the
    batch, |·| the Euclidean norm. With several sources these are brought together too, not only each to the
    target; with one the second mean is left out, and what remains is a matching of mean and raw second
    moment. Class shares that differ between domains are moved along with the moments. Deviations: the paper
    has a classifier a source, trained apart, and weighs their votes by each source's own accuracy, and a
    variant with two that disagree; here one head serves all. Items are drawn from all sources together; one
    that has none in a batch is left out of it. The labelled target items of `Adaptation`.

    trade_off: λ, ours. The norms are not squared, so their pull does not fade: at 1 small networks end in one
    class."""

    def __init__(self, network: Classifier, trade_off: float = 0.1):
        super().__init__(network)
        self.trade_off = trade_off

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        sources = [features.source[batch.source.domain == i] for i in batch.source.domain.unique()]
        return self.supervised(batch, logits) | {
            "moments": self.trade_off * moment_distance(sources, features.unlabelled)
        }


def moment_distance(sources: list[Tensor], target: Tensor) -> Tensor:
    """Features of each source [n_i, d] and of the target [m, d] → scalar."""
    distance = target.new_zeros(())
    for power in (1, 2):
        *means, aim = [part.pow(power).mean(0) for part in (*sources, target)]
        distance = distance + torch.stack([torch.linalg.vector_norm(mean - aim) for mean in means]).mean()
        if len(means) > 1:
            distance = (
                distance
                + torch.stack(
                    [torch.linalg.vector_norm(one - other) for one, other in combinations(means, 2)]
                ).mean()
            )
    return distance
