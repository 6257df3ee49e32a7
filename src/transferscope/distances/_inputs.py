"""What every distance asks of its two samples."""

from torch import Tensor

from transferscope.errors import RequestError


def require_samples(source: Tensor, target: Tensor, least: int) -> None:
    """Raises RequestError unless both are matrices of one width with at least `least` rows. Says nothing of
    NaN, which a loss hands on."""
    shapes = f"source {list(source.shape)} and target {list(target.shape)}"
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise RequestError(f"{shapes}: two matrices [N, d] and [M, d] of one width d are needed")
    if min(len(source), len(target)) < least:
        raise RequestError(
            f"{shapes}: at least {least} item{'s' * (least > 1)} of each domain "
            f"{'are' if least > 1 else 'is'} needed"
        )
