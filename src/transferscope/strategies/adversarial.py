"""What strategies share that train against a domain discriminator. Not a strategy: it has no yaml."""

import math

from transferscope.strategies.base import Diagnosis, Strategy

# nats: a discriminator that gives 95 % to the right domain leaves next to no gradient to learn from
SATURATED_LOSS = 0.05


class Adversarial(Strategy):
    """Its loss `domain` is the discriminator's mean cross-entropy of source and target: near log 2 where the
    features are aligned.

    trade_off: weight of the adversarial loss in the training of the features."""

    trade_off: float = 1.0

    def diagnose(self, history: list[dict[str, float]]) -> Diagnosis:
        """A run whose discriminator is saturated over the last interval counts as collapsed, unless the
        features were not trained against it. One that was sure early and lost its hold later is not meant."""
        loss = history[-1].get("loss/domain", math.inf)
        if loss >= SATURATED_LOSS:
            return Diagnosis()
        reason = f"saturated discriminator: cross-entropy {loss:.3f} over the last interval"
        return Diagnosis(reason if self.trade_off != 0 else "", ("saturated discriminator",))
