"""Deep CORAL: equal covariances of the two domains' outputs (Sun & Saenko 2016, arXiv 1607.01719)."""

from torch import Tensor

from transferscope.distances.coral import coral
from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class DeepCORAL(Adaptation):
    """min E_S [ -log p_y(x) ] + λ CORAL(Z_S, Z_T)   (sections 3.1 and 3.2)

    Z: logits [N, C], where the paper puts its one CORAL layer. λ = trade_off; the paper tunes it per task, so
    that both terms are about equal at the end. Blind to the means: a shift that moves all items alike is not
    undone by it. By its assumption of equal class shares it draws minority classes to where the source has
    mass when the label shares differ. Deviation: the labelled target items of `Adaptation`."""

    def __init__(self, network: Classifier, trade_off: float = 1.0):
        super().__init__(network)
        self.trade_off = trade_off

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, logits = self.passed(batch)
        return self.supervised(batch, logits) | {
            "coral": self.trade_off * coral(logits.source, logits.unlabelled)
        }
