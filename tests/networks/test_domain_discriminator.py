"""Parts of adversarial adaptation against values computed by hand."""

import torch

from transferscope.networks.domain_discriminator import DomainDiscriminator, reverse_gradient


def test_reversal_is_the_identity_forwards_and_minus_strength_backwards():
    features = torch.tensor([[1.0, -2.0], [0.0, 3.0]], requires_grad=True)
    passed = reverse_gradient(features, 0.25)
    assert torch.equal(passed, features)
    (passed * torch.tensor([[1.0, 2.0], [-4.0, 8.0]])).sum().backward()
    assert features.grad.tolist() == [[-0.25, -0.5], [1.0, -2.0]]


def test_strength_zero_lets_nothing_back():
    features = torch.ones(2, 2, requires_grad=True)
    reverse_gradient(features, 0.0).sum().backward()
    assert features.grad.abs().max() == 0


def test_discriminator_gives_one_logit_an_item():
    discriminator = DomainDiscriminator(features=2, hidden=2)
    weights = [
        [[1.0, 0.0], [0.0, -1.0]],
        [0.0, 1.0],
        [[1.0, 1.0], [1.0, -1.0]],
        [0.0, 0.0],
        [[2.0, 3.0]],
        [0.5],
    ]
    with torch.no_grad():
        for parameter, value in zip(discriminator.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(value))
    # item (3, -1): hidden (3, 2), then (5, 1), logit 10 + 3 + 0.5; item (-1, 4): (0, -3) → (0, 0), then (0,
    # 0), logit 0.5
    assert discriminator(torch.tensor([[3.0, -1.0], [-1.0, 4.0]])).tolist() == [13.5, 0.5]
