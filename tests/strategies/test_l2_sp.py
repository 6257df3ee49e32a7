"""L2-SP: the penalty by hand, and what pulls at which weights."""

from functools import partial

import pytest
import torch

from transferscope.backbones.small_cnn import SmallCNN
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.l2_sp import L2SP
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

INPUTS = torch.randint(0, 256, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
TARGET = LabelledData(INPUTS, torch.arange(12) % 3, torch.zeros(12))


def l2_sp(**arguments) -> L2SP:
    torch.manual_seed(0)
    return L2SP(Classifier(SmallCNN((1, 8, 8)), classes=3), **arguments)


def trained(steps: int = 30, weight_decay: float = 0.0, **arguments) -> dict[str, torch.Tensor]:
    strategy = l2_sp(**arguments)
    settings = FitSettings(
        steps,
        12,
        1,
        partial(torch.optim.AdamW, lr=0.01, weight_decay=weight_decay),
        "constant",
        "cpu",
        "32-true",
    )
    fit(strategy, Pools(target=TARGET), {}, settings, (0, "test"))
    return {key: parameter.detach() for key, parameter in strategy.network.named_parameters()}


def test_terms_are_half_the_weighted_squared_distances():
    strategy = l2_sp(alpha=0.2, beta=0.6)
    numbers = 0
    with torch.no_grad():
        for parameter in strategy.network.backbone.parameters():
            parameter += 0.5
            numbers += parameter.numel()
        for parameter, value in zip(strategy.network.head.parameters(), (2.0, 3.0), strict=True):
            parameter.fill_(value)
    terms = strategy.losses(Batch(None, TARGET, None))
    assert terms["start"].item() == pytest.approx(0.1 * numbers * 0.25, rel=1e-5)
    assert terms["head"].item() == pytest.approx(0.3 * (3 * 64 * 4 + 3 * 9), rel=1e-5)
    sum(terms.values()).backward()
    gamma = strategy.network.backbone.conv1[1].weight  # of a normalisation layer, whose scale is at 1.5 here
    alone = torch.autograd.grad(strategy.losses(Batch(None, TARGET, None))["target"], gamma)[0]
    torch.testing.assert_close(gamma.grad - alone, torch.full_like(gamma, 0.2 * 0.5), rtol=1e-3, atol=1e-5)


def test_before_the_first_step_nothing_is_away_from_its_start():
    assert l2_sp().losses(Batch(None, TARGET, None))["start"].item() == 0


def test_the_backbone_stays_the_nearer_the_stronger_the_pull_and_the_head_shrinks_by_its_own():
    start = {key: parameter.detach() for key, parameter in l2_sp().network.named_parameters()}

    def away(weights: dict) -> float:
        return sum(
            float((weights[key] - start[key]).square().sum()) for key in start if key.startswith("backbone.")
        )

    free = trained(alpha=0.0, beta=0.0)
    held = trained(alpha=10.0, beta=0.0)
    shrunk = trained(alpha=0.0, beta=10.0)
    assert away(held) < 0.1 * away(free) and away(free) > 0
    assert shrunk["head.weight"].norm() < 0.5 * free["head.weight"].norm()


def test_the_optimisers_weight_decay_is_off():
    with_it, without = trained(steps=2, weight_decay=0.5), trained(steps=2)
    assert all(torch.equal(with_it[key], without[key]) for key in without)


@pytest.mark.parametrize("key", ["alpha", "beta"])
def test_each_term_changes_what_is_trained(finished, key):
    assert (
        finished("strategy=l2_sp").on_test().tobytes()
        != finished("strategy=l2_sp", f"strategy.{key}=0").on_test().tobytes()
    )
