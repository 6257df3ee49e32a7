"""Gradual unfreezing (Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification",
arXiv 1801.06146)."""

from collections.abc import Iterator

from torch import Tensor

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.frozen import hold_statistics
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning


class GradualUnfreezing(FineTuning):
    """min E_T [ -log p_y(x) ] over the head alone first, then over one more layer group from the output side
    at a time   (section 3.3)

    Of G layer groups the j-th from the output side is trained from the share j / G * `unfrozen_by` of the
    steps on, so that the head alone has the first 1 / G of `unfrozen_by`, and at `unfrozen_by` all is
    trained. What is frozen keeps weights and the statistics of its normalisation (networks/frozen.py).
    Deviations: the paper gives each group one epoch and says no number of steps; its discriminative rates are
    a strategy of their own (discriminative.py), its slanted triangular ones are left to the trainer's
    schedule.

    unfrozen_by: at least 0 (all at once: fine-tuning) and below 1.
    """

    def __init__(self, network: Classifier, unfrozen_by: float = 0.5):
        super().__init__(network)
        if not 0 <= unfrozen_by < 1:
            raise RequestError(
                f"strategy.unfrozen_by={unfrozen_by}: a share of the steps of at least 0 and below 1 is "
                "needed"
            )
        self.unfrozen_by = unfrozen_by

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        backbone = self.network.backbone
        groups = backbone.layer_groups()
        for j, (_, parameters) in enumerate(reversed(groups), start=1):
            for parameter in parameters:
                parameter.requires_grad_(self.progress * len(groups) >= j * self.unfrozen_by)
        hold_statistics(backbone.train())
        yield from super().updates(batch)
