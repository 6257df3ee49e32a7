"""Entropy of class probabilities: small where the classifier is sure."""

from torch import Tensor
from torch.nn.functional import log_softmax


def entropy(logits: Tensor) -> Tensor:
    """logits [N, C] → -Σ_c p_c log p_c of p = softmax(logits), in nats, 0 to log C: [N]."""
    log_p = log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(1)
