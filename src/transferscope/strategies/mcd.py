"""MCD: two classifiers whose disagreement on the target the features remove (Saito et al. 2018, arXiv
1712.02560)."""

from collections.abc import Iterator

from torch import Tensor, nn

from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation, Passed
from transferscope.strategies.base import Batch


class MCD(Adaptation):
    """A  min over G, F₁, F₂ of  L(source)
    B  min over F₁, F₂    of  L(source) - d(target)
    C  min over G         of  d(target), n times   (section 3.3)

    Three updates a step, with L(x, y) the cross-entropies of both classifiers added up and d(target) = E_U [
    1/C Σ_c |p₁c(x) - p₂c(x)| ]; G is the backbone, F₁ its head, F₂ a second one. Predictions are those of the
    mean logits. n = generator_updates: a step costs 2 + n passes. Where the domains lie far apart, both
    classifiers can agree on the wrong class and nothing says so. Deviations: linear classifiers, where the
    paper has two and three layers; with initialisation=source F₁ is the source model's head while F₂ is drawn
    at random, as both are otherwise; source and target pass together in every update; the labelled target
    items of `Adaptation` enter A and B."""

    def __init__(self, network: Classifier, generator_updates: int = 4):
        super().__init__(network)
        self.generator_updates = generator_updates
        self.second = nn.Linear(network.backbone.features, network.head.out_features)

    def parameter_groups(self) -> dict[str, list[dict]]:
        classifiers = [*self.network.head.parameters(), *self.second.parameters()]
        return {
            "generator": [{"params": list(self.network.backbone.parameters())}],
            "classifiers": [{"params": classifiers}],
        }

    def logits(self, inputs: Tensor) -> Tensor:
        features = self.network.backbone(inputs)
        return (self.network.head(features) + self.second(features)) / 2

    def updates(self, batch: Batch) -> Iterator[tuple[str | tuple[str, ...], dict[str, Tensor]]]:
        labelled, _ = self.terms(batch)
        yield ("generator", "classifiers"), labelled
        labelled, discrepancy = self.terms(batch)
        yield (
            "classifiers",
            {f"{name}_kept": term for name, term in labelled.items()} | {"disagreement": -discrepancy},
        )
        for _ in range(self.generator_updates):
            _, discrepancy = self.terms(batch)
            yield "generator", {"agreement": discrepancy}

    def terms(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """(cross-entropies of the labelled parts, discrepancy on the unlabelled one) with the weights as they
        are."""
        features, first = self.passed(batch)
        second = Passed(*(None if part is None else self.second(part) for part in features))
        once, twice = self.supervised(batch, first), self.supervised(batch, second)
        discrepancy = (
            (self.task.embedded(first.unlabelled) - self.task.embedded(second.unlabelled)).abs().mean()
        )
        return {name: once[name] + twice[name] for name in once}, discrepancy
