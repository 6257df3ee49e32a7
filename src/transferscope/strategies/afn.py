"""SAFN: features that grow step by step in both domains (adaptive feature norm: Xu et al. 2019, arXiv
1811.07456)."""

from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class AFN(Adaptation):
    """min E_S [ -log p_y(x) ] + λ ( E_S [ r² ] + E_U [ r² ] ),  r = h(x; θ₀) + Δr - h(x; θ),  h(x; θ) =
    ‖f(x)‖₂

    The paper's stepwise variant. f(x) [N, d]; θ₀ are the weights of this step taken as a constant. The term's
    value is therefore always 2 λ Δr² and says nothing; its gradient pulls every norm up by 2 λ Δr. λ =
    trade_off, Δr = step. It aligns no distribution: where the domains lie apart and not merely at other
    norms, it does not bring them together. Deviations: the two domains' means are added, as in the authors'
    code (github.com/jihanyang/AFN), whose λ = 0.05 is the default, where the paper has one mean 1 / (n_s +
    n_t) over both: with as many items of each that is half, and the same λ would be half the strength. The
    labelled target items of `Adaptation`; no dropout before the norm."""

    version = 2

    def __init__(self, network: Classifier, trade_off: float = 0.05, step: float = 1.0):
        super().__init__(network)
        self.trade_off, self.step = trade_off, step

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        growth = sum(self.growth(part.norm(dim=1)) for part in (features.source, features.unlabelled))
        return self.supervised(batch, logits) | {"norm": self.trade_off * growth}

    def growth(self, norms: Tensor) -> Tensor:
        """Mean of ( h(x; θ₀) + Δr - h(x; θ) )² over norms [n]"""
        return (norms.detach() + self.step - norms).square().mean()
