"""What each shallow method is for, and what it assumes: a shift on which its verdict against its own
classifier on the features as they are is `positive`, and one on which it is `negative`.

With the yaml's keys but for scaling=none, since z-scores by domain are adaptation of a kind, and where said
two dimensions; by their defaults, z-scores included, at the end."""

from functools import cache

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from planted import SEEDS, TEST, verdict
from planted_shallow import BY_DEFAULTS, GAINS, LOSSES, other_shares, partly, swapped
from tiny_shallow import labelled, predicted
from transferscope.backbones.identity import Identity
from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier

ITEMS = 150  # of the source, of the unlabelled target
UNSCALED = ("strategy.scaling=none",)


@pytest.fixture(scope="module")
def judged(config):
    """judged(strategy, shift, keys of both arms, keys of the strategy): the verdict against its classifier
    without it, on the same test items, the draws of both domains being the seeds"""

    @cache
    def hits(name, shift, keys) -> np.ndarray:
        chosen = dict(config(f"strategy={name}", *keys).strategy)
        del chosen["name"], chosen["starts_from"]
        inputs, labels = shift(TEST, 7, True)
        rows = []
        for seed in SEEDS:
            strategy = instantiate(
                chosen, network=Classifier(Identity((inputs.shape[1],)), int(labels.max()) + 1)
            )
            target, _ = shift(ITEMS, 200 + seed, True)
            strategy.fit_features(
                Pools(
                    labelled(*shift(ITEMS, 100 + seed, False)),
                    None,
                    torch.from_numpy(target.astype(np.float32)),
                )
            )
            rows.append(predicted(strategy, inputs).argmax(1) == labels)
        return np.stack(rows).astype(float)

    def judgement(name, shift, alike=(), keys=()):
        _, labels = shift(TEST, 7, True)
        return verdict(
            hits(name, shift, (*alike, *keys)),
            hits(compared_rows(name), shift, alike),
            np.bincount(labels).min(),
        )

    return judgement


def compared_rows(name: str) -> str:
    """The classifier that the method's yaml has, without the method."""
    return "source_svm" if name == "kmm" else "source_nearest_neighbour"


@pytest.mark.parametrize("name", GAINS)
def test_it_gains_where_its_idea_holds(judged, name):
    shift, keys = GAINS[name]
    judgement = judged(name, shift, UNSCALED, keys)
    assert judgement.verdict == "positive", judgement


@pytest.mark.parametrize("name", LOSSES)
def test_it_loses_where_what_it_assumes_is_broken(judged, name):
    shift, keys = LOSSES[name]
    judgement = judged(name, shift, UNSCALED, keys)
    assert judgement.verdict == "negative", judgement


@pytest.mark.parametrize("shift", BY_DEFAULTS, ids=lambda shift: shift.__name__)
@pytest.mark.parametrize("name", [name for name in GAINS if name != "kmm"])
def test_by_its_defaults_the_shift_has_its_known_sign(judged, name, shift):
    """All but kmm, which moves no item. Against a baseline with z-scores by domain hardly any has its sign:
    both arms gain or lose the same."""
    judgement = judged(name, shift)
    assert judgement.verdict == BY_DEFAULTS[shift], judgement


@pytest.mark.parametrize(
    ("shift", "sign"), [(partly, "positive"), (other_shares, "equivalent"), (swapped, "equivalent")]
)
def test_weights_by_their_defaults_have_their_known_sign(judged, shift, sign):
    """Kernel mean matching is for covariate shift. Where the classes lie as they did, a line needs no
    weights; and nothing tells swapped names."""
    judgement = judged("kmm", shift)
    assert judgement.verdict == sign, judgement
