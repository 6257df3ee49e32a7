"""Fine-tuning of a part: exactly the named parameters move, and frozen normalisation stays what it was."""

import copy
from functools import partial

import pytest
import torch

from transferscope.backbones.small_cnn import SmallCNN
from transferscope.backbones.timm import Timm
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.partial_fine_tuning import BiasOnly, LastGroups, NormOnly
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

CONVOLUTIONS = ["conv1.0.weight", "conv2.0.weight", "conv3.0.weight"]
SHIFTS = ["conv1.1.bias", "conv2.1.bias", "conv3.1.bias"]
SCALES = ["conv1.1.weight", "conv2.1.weight", "conv3.1.weight"]
STATISTICS = ("running_mean", "running_var")


def network(backbone=SmallCNN, size: int = 8, **arguments) -> Classifier:
    torch.manual_seed(0)
    return Classifier(backbone((1, size, size), **arguments), classes=3)


def moved(make, net: Classifier) -> set[str]:
    """Names of the backbone's parameters and statistics that training changed; the head must have."""
    before = copy.deepcopy(net.state_dict())
    size = 32 if isinstance(net.backbone, Timm) else 8
    inputs = torch.randint(
        0, 256, (12, 1, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    pools = Pools(target=LabelledData(inputs, torch.arange(12) % 3, torch.zeros(12)))
    settings = FitSettings(
        6, 12, 2, partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1), "constant", "cpu", "32-true"
    )
    # evaluations in between put it back into training mode
    fit(make(net), pools, {"toy/test": pools.target}, settings, (0, "test"))
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert {"head.weight", "head.bias"} <= changed
    return {
        key.removeprefix("backbone.")
        for key in changed
        if key.startswith("backbone.") and "num_batches" not in key
    }


@pytest.mark.parametrize(
    ("make", "parameters", "statistics"),
    [
        (partial(LastGroups, groups=0), [], []),
        (LastGroups, ["conv3.0.weight", "conv3.1.weight", "conv3.1.bias"], ["conv3"]),
        (partial(LastGroups, groups=2), CONVOLUTIONS[1:] + SCALES[1:] + SHIFTS[1:], ["conv2", "conv3"]),
        (NormOnly, SCALES + SHIFTS, ["conv1", "conv2", "conv3"]),
        (BiasOnly, SHIFTS, ["conv1", "conv2", "conv3"]),
    ],
)
def test_exactly_the_named_parameters_move_and_the_statistics_beside_them(make, parameters, statistics):
    assert moved(make, network()) == {
        *parameters,
        *(f"{layer}.1.{name}" for layer in statistics for name in STATISTICS),
    }


def test_in_a_transformer_the_norms_and_the_biases_are_those_of_its_names():
    def vit():
        return network(Timm, 32, model="test_vit", model_arguments={"patch_size": 4})

    names = [name for name, _ in vit().backbone.named_parameters()]
    assert moved(NormOnly, vit()) == {name for name in names if "norm" in name} != set()
    assert moved(BiasOnly, vit()) == {name for name in names if name.endswith("bias")} != set()


def test_all_groups_are_fine_tuning():
    part, whole = network(), network()
    assert moved(partial(LastGroups, groups=3), part) == moved(FineTuning, whole)
    for ours, theirs in zip(part.state_dict().values(), whole.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_frozen_layers_compute_in_training_what_they_do_in_evaluation():
    strategy = LastGroups(network(), groups=1)
    inputs = torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8).float()

    def computed(layer: str, channels: int) -> list[torch.Tensor]:
        return [
            getattr(strategy.train(mode).network.backbone, layer)(inputs.expand(-1, channels, -1, -1))
            for mode in (False, True)
        ]

    assert torch.equal(*computed("conv1", 1)) and not torch.equal(*computed("conv3", 32))


@pytest.mark.parametrize("groups", [-1, 4])
def test_more_groups_than_there_are_is_refused_in_one_line(groups):
    with pytest.raises(RequestError) as refusal:
        LastGroups(network(), groups=groups)
    assert (
        str(refusal.value)
        == f"strategy.groups={groups}: the backbone has 3 layer groups (conv1, conv2, conv3); give 0 to 3"
    )


def test_the_number_of_groups_changes_what_is_trained(finished):
    one, none = finished("strategy=last_groups"), finished("strategy=last_groups", "strategy.groups=0")
    assert one.on_test().tobytes() != none.on_test().tobytes()
