"""Classes of texts by the likeness of their descriptions: no label is seen at all."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from transferscope.data.splits import Pools
from transferscope.errors import RequestError, nearest
from transferscope.networks.classifier import Classifier
from transferscope.strategies.feature_extraction import FittedHead
from transferscope.tasks.classification import class_names


class ZeroShot(FittedHead):
    """p_c(x) = softmax over c of scale · cos(f(x), f(description of c))   (Chang et al. 2008, "Importance of
    Semantic Representation: Dataless Classification", with an encoder's features in the place of theirs)

    It sees no label and no text of the target or of a source: only the names of the classes, or what
    `descriptions` says of them, {class: text}, and what the encoder came with. From random weights it is
    chance. scale: how sharp the probabilities are; they are of no more worth than that (`calibrated`).
    """

    sees = frozenset()
    needs = frozenset({"classes"})
    needs_target_labels = False
    needs_texts = True
    calibrated = False

    def __init__(self, network: Classifier, descriptions: dict[str, str] | None = None, scale: float = 20.0):
        super().__init__(network)
        if not scale > 0:
            raise RequestError(f"strategy.scale={scale}: a number above 0 is needed")
        self.descriptions, self.scale = descriptions or {}, scale

    def logits(self, features: Tensor) -> Tensor:
        return self.scale * super().logits(normalize(features))

    def fit_features(self, pools: Pools) -> None:
        rows = self.network.reader.read([(text,) for text in self._texts()])
        features = self.precompute(rows.rows(torch.arange(len(rows)).numpy())).to(self.device)
        with torch.no_grad():
            self.set_head(normalize(features), torch.zeros(len(features)))

    def _texts(self) -> list[str]:
        """Of each class. Raises RequestError for a description of no class."""
        names = class_names(self.task)
        for name in self.descriptions:
            if name not in names:
                raise RequestError(
                    f"strategy.descriptions: {name}: no class of the target; there are: "
                    f"{', '.join(names)}{nearest(name, names)}"
                )
        return [str(self.descriptions.get(name, name)) for name in names]
