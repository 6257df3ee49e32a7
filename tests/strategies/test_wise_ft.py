"""WiSE-FT: the averaged weights by hand, the choice of their share, and its two ends, which are runs of their
own."""

import numpy as np
import pytest
import torch
from torch import nn

from tiny_adaptation import Linear, network
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.store.record import read_history
from transferscope.strategies.wise_ft import WiSEFT
from transferscope.training.load import load_run
from transferscope.training.request import resolve


def alphas(run) -> list[float]:
    return [row["choice/alpha"] for row in read_history(run.folder)]


class Shift(nn.Module):
    """Logits (x + a, 0) of its one weight a."""

    def __init__(self, a: float):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, inputs):
        return torch.cat([inputs + self.a, torch.zeros_like(inputs)], dim=1)


def between(start: float, tuned: float, alpha: float | None = None) -> WiSEFT:
    strategy = WiSEFT(network(), alpha)
    strategy.start, strategy.network, strategy.mixed = Shift(start), Shift(tuned), Shift(0.0)
    return strategy


def validation(inputs: list[float], labels: list[int]) -> Pools:
    return Pools(
        validation=LabelledData(torch.tensor(inputs)[:, None], torch.tensor(labels), torch.zeros(len(labels)))
    )


@pytest.mark.parametrize(
    ("labels", "chosen", "weight"),
    [
        # items at -1 and 1: p_0 = sigmoid(x + a). Of labels (1, 0) a = 0 is best by symmetry, which from -2
        # to 3 is α = 0.4
        ([1, 0], 0.4, 0.0),
        ([0, 0], 1.0, 3.0),  # the larger a the better
        ([1, 1], 0.0, -2.0),
    ],
)
def test_the_share_with_the_least_brier_score_is_taken_and_the_weights_are_averaged_by_it(
    labels, chosen, weight
):
    strategy = between(-2.0, 3.0)
    assert strategy.begin_evaluation(validation([-1.0, 1.0], labels)) == {"choice/alpha": chosen}
    assert strategy.predictor.a.item() == pytest.approx(weight, abs=1e-6)
    p = torch.sigmoid(torch.tensor(0.5 + weight))
    torch.testing.assert_close(strategy.predictions(torch.tensor([[0.5]])), torch.stack([p, 1 - p])[None])


@pytest.mark.parametrize(("alpha", "weight"), [(None, 0.5), (0.0, -2.0), (0.3, -0.5), (1.0, 3.0)])
def test_without_validation_labels_it_is_the_middle_and_a_given_share_is_kept(alpha, weight):
    strategy = between(-2.0, 3.0, alpha)
    strategy.begin_evaluation(Pools() if alpha is None else validation([-1.0], [1]))
    assert strategy.predictor.a.item() == pytest.approx(weight)


def test_running_statistics_are_averaged_too_and_only_the_fine_tuned_weights_train():
    backbone = Linear()
    backbone.norm = nn.BatchNorm1d(2)
    strategy = WiSEFT(Classifier(backbone, classes=3), 0.25)
    strategy.network.backbone.norm.running_mean += torch.tensor([4.0, 8.0])
    strategy.begin_evaluation(Pools())
    assert strategy.mixed.backbone.norm.running_mean.tolist() == [1.0, 2.0]
    trained = {id(weight) for group in strategy.parameter_groups()["all"] for weight in group["params"]}
    assert (
        trained
        == {id(weight) for weight in strategy.parameters() if weight.requires_grad}
        == set(map(id, strategy.network.parameters()))
    )


def test_its_ends_are_fine_tuning_and_the_source_model(finished):
    """Other draws, the stream having the strategy's name: with the whole target in each batch the draws are
    an order of items."""
    whole = ("label_budget=2", "trainer.batch_size=6")
    tuned, end, start = (finished(*chosen, *whole) for chosen in (
        ("strategy=fine_tuning",), ("strategy=wise_ft", "strategy.alpha=1"),
        ("strategy=wise_ft", "strategy.alpha=0")))  # fmt: skip
    np.testing.assert_allclose(end.on_test(), tuned.on_test(), atol=1e-3)
    for step in (4, 8, 12):
        assert start.on_test(step).tobytes() == tuned.on_test(0).tobytes()


@pytest.mark.parametrize("budget", [2, 50])
def test_a_kept_model_answers_as_the_run_chose(train, pair, budget):
    run = train("strategy=wise_ft", f"label_budget={budget}", "keep=selected", domains=pair)
    assert alphas(run)[-1] == 0.5 or budget == 50
    position = {item: number for number, item in enumerate(pair["blobs"].ids)}
    inputs = pair["blobs"].inputs[[position[item] for item in run.members["blobs/test/ids"]]]
    np.testing.assert_allclose(load_run(run.folder).predict(inputs), run.on_test(), rtol=1e-5)


def test_a_share_that_is_none_is_refused(config):
    with pytest.raises(RequestError, match="strategy.alpha=2.0: allowed"):
        resolve(config("strategy=wise_ft", "strategy.alpha=2.0"))
