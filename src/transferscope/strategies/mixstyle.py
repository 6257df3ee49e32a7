"""MixStyle (Zhou et al. 2021, arXiv 2104.02008): styles of feature maps mixed between items, so that the
classifier does not rest on them."""

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class MixStyle(Strategy):
    """min E_S [ -log p_y(x) ] (+ the same of labelled target items), where maps a [N, K, H, W] become γ (a -
    μ(a)) / σ(a) + β   (section 2.2)

    μ(a), σ(a) [N, K]: mean and deviation over an image's map; γ = λ σ(a) + (1 - λ) σ(ã), β = λ μ(a) + (1 - λ)
    μ(ã), ã the batch in another order, λ ~ Beta(α, α) for each item. No gradient passes μ and σ. It is done
    after the first `stages` stages of a convolutional backbone, or of what lies above a frozen trunk, but
    never after the last one; each with probability 1/2 a step, in training alone. Items are mixed with any of
    the batch, the paper's variant without domain labels, so that it serves with one source and with several.
    Deviation: with labels in the budget, their cross-entropy is added with weight 1 and their styles are
    mixed too; the paper has none. Where brightness or contrast tells the class, mixing takes it away.

    alpha: α; the paper's 0.1 takes nearly all of one style. stages: 2, as in the paper's ResNets.
    Raises NotApplicable for a backbone without two stages of convolutions.
    """

    sees = frozenset({"source_inputs", "source_labels", "target_labels"})
    needs_target_labels = False
    shares_classes = True
    version = 2

    def __init__(self, network: Classifier, alpha: float = 0.1, stages: int = 2):
        super().__init__(network)
        self.alpha = alpha
        above = convolutional_stages(network.backbone, set(network.reachable()))
        self.mixed = above[:-1][:stages]
        if not self.mixed:
            raise NotApplicable(
                "strategy=mixstyle: the backbone has no two stages of convolutions above what is frozen; "
                "allowed: one that has, such as small_cnn"
            )
        for stage in self.mixed:
            stage.register_forward_hook(self._mix)

    def acts_on(self) -> dict[str, tuple[int, int]]:
        return {
            "stages": (len(self.mixed), len(convolutional_stages(self.network.backbone))),
            **super().acts_on(),
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        if batch.target is None:
            return {"source": self.task_loss(self.logits(batch.source.inputs), batch.source.labels, "source")}
        source, target = self.logits_of(batch.source.inputs, batch.target.inputs)
        return {
            "source": self.task_loss(source, batch.source.labels, "source"),
            "target": self.task_loss(target, batch.target.labels),
        }

    def _mix(self, stage: nn.Module, inputs: tuple[Tensor, ...], maps: Tensor) -> Tensor:
        if not stage.training or torch.rand(()) < 0.5:
            return maps
        share = Beta(self.alpha, self.alpha).sample((len(maps), 1, 1, 1)).to(maps)
        return mixed_styles(maps, torch.randperm(len(maps)).to(maps.device), share)


def mixed_styles(maps: Tensor, order: Tensor, share: Tensor) -> Tensor:
    """Maps [N, K, H, W] with `share` [N, 1, 1, 1] of their own style and the rest of that of the maps in
    another order [N]."""
    mean = maps.detach().mean((2, 3), keepdim=True)
    deviation = (maps.detach().var((2, 3), unbiased=False, keepdim=True) + 1e-6).sqrt()
    scale, shift = (share * style + (1 - share) * style[order] for style in (deviation, mean))
    return scale * (maps - mean) / deviation + shift


def convolutional_stages(module: nn.Module, among: set[nn.Module] | None = None) -> list[nn.Module]:
    """The parts of a network that hold convolutions, input side first, less the bare convolution of a stem;
    empty where there are none.

    among: modules that count; all where it is not given.
    """
    found = [module]
    while len(found) == 1:
        inside = [part for part in found[0].children() if among is None or part in among]
        parts = [part for part in inside if any(isinstance(layer, nn.Conv2d) for layer in part.modules())]
        found = [part for part in parts if not isinstance(part, nn.Conv2d)] or parts
    return found
