"""DAN: equal kernel means of the two domains in several layers (Long et al. 2015, arXiv 1502.02791)."""

from torch import Tensor

from transferscope.distances.mmd import mmd
from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class DAN(Adaptation):
    """min E_S [ -log p_y(x) ] + λ Σ_l MMD²(S_l, T_l) over the layers l = features [N, d], logits [N, C]
    (section 3)

    λ = trade_off; the paper chooses it per task, its range ends at 2. Under label shift it fails by its
    assumption: equal marginals of domains with other class shares mean that some items lie with the wrong
    class. Deviations: the two layers every network has here, where the paper takes AlexNet's last three; the
    unbiased estimate over all pairs in place of the one in linear time; five bandwidths of equal weight, see
    distances/mmd.py; the labelled target items of `Adaptation`."""

    def __init__(self, network: Classifier, trade_off: float = 1.0):
        super().__init__(network)
        self.trade_off = trade_off

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        distance = sum(mmd(layer.source, layer.unlabelled, unbiased=True) for layer in (features, logits))
        return self.supervised(batch, logits) | {"mmd": self.trade_off * distance}
