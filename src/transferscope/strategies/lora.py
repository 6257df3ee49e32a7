"""LoRA: updates of low rank beside frozen weights (Hu et al. 2022, arXiv 2106.09685), through peft
(https://github.com/huggingface/peft)."""

from torch import nn

from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.partial_fine_tuning import PartialFineTuning


class LoRA(PartialFineTuning):
    """min over A, B and the head of E_T [ -log p_y(x) ],  W x + b → W x + b + (alpha / rank) B A x in every
    linear layer   (section 4.1)

    W [out, in] and all else of the backbone stay frozen; A [rank, in] is drawn at random, B [out, rank]
    starts at 0, so that the first step starts from the transferred network itself. Convolutions stay as they
    are, and a backbone without a linear layer is refused; with `pointwise` those of 1×1, linear layers over
    the channels of each place, are adapted too. A kept model holds W, A and B apart. The trainer's rate is
    for A and B too, which mostly want a higher one than fine-tuning. Deviations: every linear layer of the
    backbone is adapted, in the paper the queries and values of attention (timm holds these in one layer with
    the keys); a layer whose weight the model reads without calling it, such as `qkv` of timm's beit, eva02
    and swinv2, is left as it was.

    rank: of BA; alpha / rank is its scale. pointwise: ungrouped 1×1 convolutions count as linear layers.
    """

    rates_of_its_own = True  # A and B are new, and lie in the backbone

    def __init__(self, network: Classifier, rank: int = 8, alpha: float = 16.0, pointwise: bool = False):
        if rank < 1:
            raise RequestError(f"strategy.rank={rank}: an integer of at least 1 is needed")
        reachable = set(network.reachable())
        layers = ((name, layer) for name, layer in network.backbone.named_modules() if layer in reachable)
        linear = [name for name, layer in layers if _is_linear(layer) or pointwise and _is_pointwise(layer)]
        if not linear:
            raise NotApplicable(
                "strategy=lora: the backbone has no linear layer to adapt; use one that has, such as "
                "test_vit, mlp or backbone=timm with "
                "backbone.model=vit_small_patch16_224, or strategy.pointwise=true for 1×1 convolutions, or "
                "strategy=last_groups, norm_only or bias_only"
            )
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise RequestError(
                "strategy=lora: peft is not installed; pip install 'transferscope[lora]'"
            ) from error
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=linear), network.backbone)
        super().__init__(
            network,
            [parameter for name, parameter in network.backbone.named_parameters() if ".lora_" in name],
        )


def _is_linear(layer: nn.Module) -> bool:
    """GPT-2's layers are linear ones that keep the transposed weight: transformers calls them Conv1D."""
    return isinstance(layer, nn.Linear) or type(layer).__module__ == "transformers.pytorch_utils"


def _is_pointwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
