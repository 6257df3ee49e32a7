"""A classifier on the source's features: what every shallow adaptation must beat."""

from transferscope.networks.classifier import Classifier
from transferscope.networks.mapped_classifier import ClassifierName, UnitLength
from transferscope.strategies.shallow import Adapted, Items, Scaling, ShallowAdaptation


class SourceClassifier(ShallowAdaptation):
    """z = x, no mapping: the classifier learns from the source's scaled features and is used on the target's.

    The baseline of the shallow methods, with their keys. It scales both domains by the source's moments:
    z-scores by the target's own mean and deviation are adaptation already. With scaling=domain, as in many
    published tables, a method that takes them too is not credited for them."""

    def __init__(
        self,
        network: Classifier,
        classifier: ClassifierName = "nearest_neighbour",
        C: float = 1.0,
        scaling: Scaling = "source",
        unit_length: UnitLength = "none",
    ):
        super().__init__(network, classifier, C, scaling, unit_length)

    def adapt(self, items: Items) -> Adapted:
        return Adapted(items.source)
