"""LP-FT: linear probing, then fine-tuning (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features",
arXiv 2202.10054)."""

from collections.abc import Iterator

from torch import Tensor

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.fine_tuning import FineTuning


class LPFT(FineTuning):
    """min over the head of E_T [ -log p_y(x) ] on frozen features first, then over everything from there
    (section 3.4)

    While it probes, the backbone is in evaluation mode: its features are those of `feature_extraction`.
    Deviations: both phases share the trainer's rate and its one schedule, where the paper tunes a rate for
    each; the probe takes `probe_share` of the steps rather than going on until it has converged, so that all
    strategies of a comparison take the same number.

    probe_share: from 0 (fine-tuning) to 1 (a linear probe).
    """

    def __init__(self, network: Classifier, probe_share: float = 0.5):
        super().__init__(network)
        if not 0 <= probe_share <= 1:
            raise RequestError(
                f"strategy.probe_share={probe_share}: a share of the steps from 0 to 1 is needed"
            )
        self.probe_share = probe_share

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        tunes = self.progress >= self.probe_share
        self.network.backbone.requires_grad_(tunes).train(tunes)
        yield from super().updates(batch)
