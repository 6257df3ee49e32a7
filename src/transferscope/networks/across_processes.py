"""What the processes of one training make alike (training/devices.py)."""

import torch
from torch import Tensor, nn


def average_gradients(moved: list[nn.Parameter]) -> None:
    """Over all processes, each of which has the same weights without a gradient."""
    gradients = [weight.grad for weight in moved if weight.grad is not None]
    together = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(together)
    together /= torch.distributed.get_world_size()
    for gradient, part in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def averaged(value: Tensor) -> Tensor:
    """Over all processes."""
    value = value.clone()
    torch.distributed.all_reduce(value)
    return value / torch.distributed.get_world_size()


def take_buffers_of_the_first(module: nn.Module) -> None:
    """Running statistics are its own in each process; those of the first are evaluated."""
    for buffer in module.buffers():
        torch.distributed.broadcast(buffer, src=0)
