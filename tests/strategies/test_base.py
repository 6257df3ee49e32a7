"""What the base owns: steps, several terms, learning rates and their schedule."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from transferscope.backbones.mlp import MLP
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings, Monitoring


class Slope(Strategy):
    """Two losses whose gradients are 1 and 2 everywhere: with plain gradient descent the weights tell the
    learning rates."""

    sees = frozenset({"target_labels"})

    def __init__(self):
        super().__init__(Classifier(MLP((1,), hidden=[1]), classes=2))
        self.usual = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.slow = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def losses(self, batch):
        return {"one": self.usual + self.slow, "two": 2 * self.usual}

    def parameter_groups(self):
        return {"all": [{"params": [self.usual]}, {"params": [self.slow], "lr_scale": 0.1}]}


def taken(schedule: str, steps: int = 4) -> tuple[list[float], list[float]]:
    """What each step took from the two weights."""
    torch.manual_seed(0)
    strategy, weights = Slope(), [(0.0, 0.0)]
    pools = Pools(target=LabelledData(torch.zeros(2, 1), torch.tensor([0, 1]), torch.zeros(2)))
    settings = FitSettings(steps, 2, steps, partial(torch.optim.SGD, lr=0.5), schedule, "cpu", "32-true")
    fit(
        strategy,
        pools,
        {},
        settings,
        (0, "test"),
        Monitoring(after_interval=lambda *_: weights.append((strategy.usual.item(), strategy.slow.item()))),
    )
    steps_taken = [(a - c, b - d) for (a, b), (c, d) in pairwise(weights)]
    return tuple(zip(*steps_taken, strict=True))


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("constant", [1, 1, 1, 1]), ("cosine", [1, 0.8535533906, 0.5, 0.1464466094])],  # (1 + cos(π t / 4)) / 2
)
def test_learning_rate_follows_the_schedule_and_each_groups_scale(schedule, factors):
    usual, slow = taken(schedule)
    # the terms' gradients add up: 1 + 2
    assert usual == pytest.approx([0.5 * 3 * factor for factor in factors])
    assert slow == pytest.approx([0.05 * factor for factor in factors])


def test_a_strategy_may_combine_its_terms_itself(monkeypatch):
    monkeypatch.setattr(Slope, "backward", lambda self, terms: (terms["one"] - terms["two"]).backward())
    assert taken("constant")[0] == pytest.approx([-0.5] * 4)
