"""Learning rates that fall from the head to the input: discriminative fine-tuning and layer-wise decay."""

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.fine_tuning import FineTuning


class Discriminative(FineTuning):
    """min E_T [ -log p_y(x) ] with a rate for each layer group: η^(l-1) = η^l / divisor
    (Howard & Ruder 2018, section 3.2)

    The head is the last layer L and takes the trainer's rate η^L; of G groups the first takes η^L /
    divisor^G."""

    rates_of_its_own = True

    def __init__(self, network: Classifier, divisor: float = 2.6):
        super().__init__(network)
        if divisor <= 0:
            raise RequestError(f"strategy.divisor={divisor}: a number above 0 is needed (1 is fine-tuning)")
        self.divisor = divisor

    def parameter_groups(self) -> dict[str, list[dict]]:
        layers = [parameters for _, parameters in self.network.backbone.layer_groups()] + [
            list(self.network.head.parameters())
        ]
        depths = range(len(layers) - 1, -1, -1)  # layers above it
        return {
            "all": [
                {"params": layer, "lr_scale": self.divisor**-depth}
                for layer, depth in zip(layers, depths, strict=True)
            ]
        }


class LayerDecay(Discriminative):
    """min E_T [ -log p_y(x) ] with a rate for each layer group: η^(l-1) = decay * η^l
    (ELECTRA: Clark et al. 2020, appendix B)

    The same as a factor, and BEiT's (Bao et al. 2022, arXiv 2106.08254).

    decay: 0.75 is the usual one for vision transformers of base size. Deviation: a norm after the last block
    is part of that block's group where the backbone's layer groups say so, and goes with the head in BEiT.
    """

    def __init__(self, network: Classifier, decay: float = 0.75):
        if decay <= 0:
            raise RequestError(f"strategy.decay={decay}: a number above 0 is needed (1 is fine-tuning)")
        super().__init__(network, divisor=1 / decay)
