"""Minimum entropy: sure predictions on the target beside a labelled source (Grandvalet & Bengio 2004, NeurIPS
17)."""

from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.networks.entropy import entropy
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class MinimumEntropy(Adaptation):
    """min E_S [ -log p_y(x) ] + λ E_U [ H(p(x)) ]   (their labelled items being the source)

    p(x) [N, C]. λ = trade_off grows linearly over the steps, as in target_ssl, which is the same without the
    source. Nothing keeps all items from going to one class: where the source model is wrong about a class, it
    becomes surely wrong. Deviations: labelled and unlabelled items are of two domains; the labelled target
    items of `Adaptation`."""

    needs = frozenset({"classes"})

    def __init__(self, network: Classifier, trade_off: float = 0.1):
        super().__init__(network)
        self.trade_off = trade_off

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, logits = self.passed(batch)
        return self.supervised(batch, logits) | {
            "entropy": self.trade_off * self.progress * entropy(logits.unlabelled).mean()
        }
