"""Label shift: how far the class shares of two domains are apart (the setting of Lipton et al. 2018, arXiv
1802.03916)."""

import torch
from torch import Tensor

from transferscope.errors import RequestError

VERSION = "3566aa45"  # part of the keys of kept rankings: change it when the numbers change


def label_total_variation(source_labels: Tensor, target_labels: Tensor) -> Tensor:
    """½ Σ_c |p_S(c) - p_T(c)|: the share of items whose class would have to change. 0 = equal shares, 1 = no
    class in common

    source_labels [N], target_labels [M], integers from 0 that index one list of classes → scalar. Of counts,
    so not differentiable.

    >>> label_total_variation(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]))
    tensor(0.2500, dtype=torch.float64)
    """
    source, target = _shares(source_labels, target_labels)
    return (source - target).abs().sum() / 2


def label_kl(source_labels: Tensor, target_labels: Tensor) -> Tensor:
    """KL(p_T ‖ p_S) = Σ_c p_T(c) log(p_T(c) / p_S(c)) in nats: 0 = equal shares, infinite where the target
    has a class the source lacks

    source_labels [N], target_labels [M], integers from 0 that index one list of classes → scalar. Of counts,
    so not differentiable. Plain shares, nothing is smoothed.

    >>> label_kl(torch.tensor([0, 1]), torch.tensor([0, 0]))  # log 2
    tensor(0.6931, dtype=torch.float64)
    """
    source, target = _shares(source_labels, target_labels)
    present = target > 0
    return (target[present] * (target[present] / source[present]).log()).sum()


def _shares(source_labels: Tensor, target_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Class shares [C] of either domain."""
    for side, labels in (("source", source_labels), ("target", target_labels)):
        if labels.ndim != 1 or len(labels) == 0 or labels.is_floating_point() or labels.min() < 0:
            raise RequestError(
                f"{side}_labels {list(labels.shape)} of {labels.dtype}: at least one integer label, none "
                "negative, is needed"
            )
    classes = 1 + int(max(source_labels.max(), target_labels.max()))
    source, target = (
        torch.bincount(labels, minlength=classes).double() / len(labels)
        for labels in (source_labels, target_labels)
    )
    return source, target
