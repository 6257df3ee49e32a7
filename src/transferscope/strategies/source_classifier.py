"""A classifier on the source's features: what every shallow adaptation must beat."""

from transferscope.strategies.shallow import Adapted, Items, ShallowAdaptation


class SourceClassifier(ShallowAdaptation):
    """z = x, no mapping: the classifier learns from the source's scaled features and is used on the target's.

    The baseline of the shallow methods, with their keys. It still sees the target's inputs where scaling=domain takes their mean and
    deviation, and that alone is adaptation of a kind; scaling=source takes neither.
    """

    def adapt(self, items: Items) -> Adapted:
        return Adapted(items.source)
