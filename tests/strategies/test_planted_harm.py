"""What avoids negative transfer is for: sources made to harm, on which joint training and DANN are called
negative and these are not.

A verdict here shows that a strategy works as a whole on a shift made for it. It is no evidence about its
worth on real data."""

import copy
from functools import cache, partial

import numpy as np
import pytest
import torch

from transferscope.calibration.signs import Linear
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.statistics.verdict import Judgement, Pair, judge
from transferscope.strategies.base import Strategy
from transferscope.strategies.dann import DANN
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.gated_dann import GatedDANN
from transferscope.strategies.instance_weights import InstanceWeights
from transferscope.strategies.joint import Joint
from transferscope.strategies.safe_choice import SafeChoice
from transferscope.strategies.source_only import SourceOnly
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

SETTINGS = FitSettings(120, 64, 1, partial(torch.optim.AdamW, lr=0.01), "cosine", "cpu", "32-true")
SEEDS, LABELS, TEST = range(5), 20, 400  # labels a class


def items(size: int, draw: int, harm: str = "") -> LabelledData:
    """Two classes 2.6 standard deviations apart along the first of ten features. A harmful source has 85 % of
    its labels wrong: `label`, of any items; `place`, of items that lie elsewhere along the second feature."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 2
    inputs = random.normal(size=(size, 10))
    inputs[:, 0] += 2.6 * (labels - 0.5)
    wrong = (random.random(size) < 0.85) & bool(harm)
    inputs[:, 1] += 5 * wrong * (harm == "place")
    labels = np.where(wrong, 1 - labels, labels)
    return LabelledData(
        torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(labels), torch.zeros(size)
    )


@cache
def hits(kind: type[Strategy], harm: str, seed: int, settings: FitSettings = SETTINGS) -> np.ndarray:
    torch.manual_seed(seed)
    network = Classifier(Linear((10,)), classes=2)
    if kind in (FineTuning, SafeChoice):
        network.scratch = copy.deepcopy(network.state_dict())
        fit(SourceOnly(network), Pools(source=items(1000, 3000 + seed, harm)), {}, SETTINGS, (seed, "source"))
    strategy = kind(network)
    pools = Pools(
        source=items(1000, 3000 + seed, harm) if "source_inputs" in kind.sees else None,
        target=items(2 * LABELS, 1000 + seed),
        unlabelled=items(300, 2000 + seed).inputs if "target_inputs" in kind.sees else None,
        validation=items(2 * LABELS // 4, 4000 + seed),
    )
    test = items(TEST, 7)
    evaluated = {
        "toy/test": EvaluationSet(test.inputs, test.labels, np.arange(TEST).astype(str), ("a", "b"), None)
    }
    outcome = fit(
        strategy, pools, evaluated, settings, (seed, (TargetOnly if kind.beside_scratch else kind).__name__)
    )
    return (outcome.predictions["toy/test"][settings.steps].argmax(1) == test.labels).numpy().astype(float)


@pytest.mark.parametrize(
    ("harm", "kinds", "avoids"), [("label", (Joint, DANN), GatedDANN), ("place", (Joint,), InstanceWeights)]
)
def test_it_is_positive_where_the_others_are_negative(harm, kinds, avoids):
    judged = judgements((*kinds, avoids), harm, SETTINGS)
    assert [judgement.verdict for judgement in judged] == ["negative"] * len(kinds) + ["positive"], [
        j.delta for j in judged
    ]


def test_a_safe_choice_loses_nothing_where_fine_tuning_is_negative():
    """Too few steps to unlearn what the source has taught."""
    fine_tuning, safe = judgements((FineTuning, SafeChoice), "label", SETTINGS._replace(steps=50))
    assert fine_tuning.verdict == "negative" and safe.delta == 0


@pytest.mark.slow
def test_a_safe_choice_gains_where_fine_tuning_does():
    fine_tuning, safe = judgements((FineTuning, SafeChoice), "", SETTINGS._replace(steps=50))
    assert fine_tuning.verdict == safe.verdict == "positive"


def judgements(kinds: tuple[type[Strategy], ...], harm: str, settings: FitSettings) -> list[Judgement]:
    """Each against scratch, as one family."""
    scratch = np.stack([hits(TargetOnly, "", seed, settings) for seed in SEEDS])
    none = np.zeros(len(SEEDS), dtype=bool)
    pairs = [
        Pair(np.stack([hits(kind, harm, seed, settings) for seed in SEEDS]) - scratch, none, none, TEST // 2)
        for kind in kinds
    ]
    return judge(pairs, margin=0.01, alpha=0.05, family_size=len(pairs))
