"""Fine-tuning of a part of the backbone: its last layers, its normalisation, or its biases; the head is
always trained."""

from typing import Self

from torch import nn

from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.networks.frozen import hold_statistics
from transferscope.strategies.fine_tuning import FineTuning


class PartialFineTuning(FineTuning):
    """min over the head and a part of the backbone of E_T [ -log p_y(x) ]; the rest keeps the transferred
    weights.

    A batch normalisation of which no parameter is trained keeps its statistics too, and normalises by them
    while the rest is trained (networks/frozen.py). Dropout stays active everywhere.

    trained: parameters of the backbone.
    """

    def __init__(self, network: Classifier, trained: list[nn.Parameter]):
        super().__init__(network)
        network.backbone.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if mode:
            hold_statistics(self.network.backbone)
        return self

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {
            "all": [
                {"params": [parameter for parameter in self.network.parameters() if parameter.requires_grad]}
            ]
        }


class LastGroups(PartialFineTuning):
    """min over the head and the last layer groups of E_T [ -log p_y(x) ], the first n layers "frozen"
    (Yosinski et al. 2014, arXiv 1411.1792)

    groups: how many of the backbone's layer groups are trained, from the output side: 0 is a linear probe
    whose dropout stays active, all of them is fine-tuning. Raises NotApplicable for more than there are."""

    def __init__(self, network: Classifier, groups: int = 1):
        there = network.backbone.layer_groups()
        if not 0 <= groups <= len(there):
            names = ", ".join(name for name, _ in there)
            raise NotApplicable(
                f"strategy.groups={groups}: the backbone has {len(there)} layer groups ({names}); give 0 to "
                f"{len(there)}"
            )
        super().__init__(
            network, [parameter for _, group in there[len(there) - groups :] for parameter in group]
        )


class NormOnly(PartialFineTuning):
    """min over the head and over scale γ and shift β of every normalisation layer of E_T [ -log p_y(x) ]

    Frankle, Schwab & Morcos 2021 (arXiv 2003.00152) do so from random weights. Batch normalisation learns new
    statistics with them. A layer counts as normalisation where its class is called a norm, as torch's and
    timm's are. In a backbone without such parameters the head alone is trained."""

    def __init__(self, network: Classifier):
        layers = (layer for layer in network.reachable() if "norm" in type(layer).__name__.lower())
        super().__init__(
            network, [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
        )


class BiasOnly(PartialFineTuning):
    """min over the head and every bias b of the backbone of E_T [ -log p_y(x) ], each weight W stays
    (BitFit, arXiv 2106.10199)

    The shifts of normalisation layers are biases, as in the paper. Deviation: the paper has transformers
    alone; in a convolutional network batch normalisation with a trained shift learns new statistics too.
    Raises NotApplicable for a backbone that has parameters and no bias among them, as T5 is one."""

    def __init__(self, network: Classifier):
        of_head = {id(parameter) for parameter in network.head.parameters()}
        found = [one for layer in network.reachable() for one in layer.named_parameters(recurse=False)]
        named = [(name, parameter) for name, parameter in found if id(parameter) not in of_head]
        biases = [parameter for name, parameter in named if name.endswith("bias")]
        if named and not biases:
            raise NotApplicable(
                "strategy=bias_only: the backbone has no bias, and the head alone would be trained; "
                "strategy=feature_extraction does that, last_groups trains a part of the backbone"
            )
        super().__init__(network, biases)
