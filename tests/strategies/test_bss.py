"""Batch spectral shrinkage: the sum of the smallest squared singular values, and its gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from transferscope.backbones.base import Backbone
from transferscope.data.splits import LabelledData
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.bss import BSS


class Scale(Backbone):
    """[N, 3] → [N, 3], each feature multiplied by a weight."""

    features = 3

    def __init__(self):
        super().__init__()
        self.factors = nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return inputs * self.factors


def bss(**arguments) -> BSS:
    torch.manual_seed(0)
    return BSS(Classifier(Scale(), classes=2), **arguments)


def batch(inputs: torch.Tensor) -> Batch:
    return Batch(None, LabelledData(inputs, torch.arange(len(inputs)) % 2, torch.zeros(len(inputs))), None)


DIAGONAL = torch.diag(torch.tensor([3.0, 2.0, 5.0]))  # its singular values are 5, 3 and 2


@pytest.mark.parametrize(("k", "spectrum"), [(1, 4.0), (2, 13.0), (3, 38.0), (9, 38.0)])
def test_the_term_is_the_sum_of_the_k_smallest_squared_singular_values(k, spectrum):
    assert bss(eta=0.5, k=k).losses(batch(DIAGONAL))["spectrum"].item() == pytest.approx(
        0.5 * spectrum, rel=1e-5
    )


@pytest.mark.parametrize("items", [2, 7])  # fewer and more than features
def test_of_any_batch_it_is_what_numpy_says(items):
    inputs = torch.randn(items, 3, generator=torch.Generator().manual_seed(1))
    expected = np.linalg.eigvalsh((inputs @ inputs.T if items < 3 else inputs.T @ inputs).double().numpy())[0]
    assert bss(eta=1.0).losses(batch(inputs))["spectrum"].item() == pytest.approx(expected, rel=1e-4)


def test_its_gradient_shrinks_the_smallest_alone():
    strategy = bss(eta=0.5)
    strategy.losses(batch(DIAGONAL))["spectrum"].backward()
    # η d(2 s)² / ds at s = 1
    torch.testing.assert_close(strategy.network.backbone.factors.grad, torch.tensor([0.0, 4.0, 0.0]))


def test_no_singular_value_is_refused():
    with pytest.raises(RequestError, match="strategy.k=0: .* at least 1"):
        bss(k=0)


def test_the_spectrum_changes_what_is_trained(finished):
    with_it, without = finished("strategy=bss"), finished("strategy=bss", "strategy.eta=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
