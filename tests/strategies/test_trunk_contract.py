"""No strategy is emptied by a frozen trunk in silence: what it adds to plain training acts with one as it
does without."""

import numpy as np
import pytest

from transferscope.catalog import yamls
from transferscope.errors import NotApplicable
from transferscope.training import request
from transferscope.training.checks import strategy_class

PICTURES = ("target=handwritten_digits", "source=handwritten_digits_rotated", "image_size=32",
    "label_budget=5", "~backbone.hidden",
            "backbone._target_=transferscope.backbones.timm.Timm", "backbone.name=test_resnet",
            "+backbone.model=test_resnet", "backbone.weights=random", "trainer.steps=4",
            "trainer.source_steps=4", "trainer.evaluations=1")  # fmt: skip
# of weights that came from elsewhere alone it is frozen
TRUNK = ("+backbone.trunk=layer2", "initialisation=source")
NO_TERM = {
    "scratch",
    "target_only",
    "source_only",
    "fine_tuning",
    "joint",
    "multi_task",
    "feature_extraction",
}  # that others add to
# by strategy, what is left of it without its own: keys, or another strategy; both then draw the same batches
PLAIN = {
    # that predictions move is all there is to ask
    **dict.fromkeys(("adaptive_bn", "tent", "sar", "shot", "aad", "adda", "safe_choice")),
    **dict.fromkeys(("afn", "bnm", "cdan", "cdan_e", "co_tuning", "consistency", "dan", "dann", "deep_coral",
    "gated_dann", "iwdan", "jan",
                     "m3sda", "mcc", "mdd", "minimum_entropy", "mme", "pada"), "strategy.trade_off=0"),
    **dict.fromkeys(("norm_only", "bias_only"), "strategy=feature_extraction"),
    **dict.fromkeys(("multi_task_pcgrad", "multi_task_uncertainty"), "strategy=multi_task"),
    "bss": "strategy.eta=0", "deep_jdot": "strategy.feature_weight=0 strategy.label_weight=0",
    "delta": "strategy.alpha=0", "discriminative": "strategy.divisor=1",
    "gradual_unfreezing": "strategy.unfrozen_by=0", "group_dro": "strategy.step=0",
    "instance_weights": "strategy=joint", "l2_sp": "strategy.alpha=0", "last_groups": "strategy.groups=0",
    "layer_decay": "strategy.decay=1", "lp_ft": "strategy.probe_share=0",
    "mcd": "strategy.generator_updates=0", "mixstyle": "strategy=source_only",
    "target_ssl": "strategy.entropy_weight=0", "wise_ft": "strategy.alpha=1",
}  # fmt: skip
# of both: source_only sees no label, few predictions are sure after four steps, and labels may choose an end
KEYS = {
    "mixstyle": "label_budget=0", "consistency": "strategy.threshold=0", "wise_ft": "strategy.alpha=0.5",
}  # fmt: skip
SEEN = 1e-5  # of a probability: more than the last bits of another order of sums
REFUSED = {"lora": "no linear layer"}  # by this backbone
# what a trunk could empty; the others, and all of them without one, are slow
OFTEN = ("adaptive_bn", "dann", "mixstyle", "multi_task_pcgrad", "norm_only", "tent")
SHELF = [
    name
    for name in yamls.names("strategy")
    if not strategy_class(yamls.read(yamls.find("strategy", name))).closed_form
]


def test_every_strategy_that_is_trained_is_here():
    assert set(SHELF) == NO_TERM | PLAIN.keys() | REFUSED.keys()


@pytest.mark.parametrize(
    "trunk", [pytest.param((), id="whole", marks=pytest.mark.slow), pytest.param(TRUNK, id="trunk")]
)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.slow) for name in SHELF]
)
def test_its_own_term_acts(train, config, name, trunk, monkeypatch):
    words = [*PICTURES, *([] if name in ("scratch", "target_only") else trunk), f"strategy={name}"]
    words += [KEYS[name]] if name in KEYS else []
    if name in REFUSED:
        with pytest.raises(NotApplicable, match=REFUSED[name]):
            request.resolve(config(*words))
        return
    monkeypatch.setattr(request.Request, "stream", lambda self: (0, "one for all"))
    run = train(*words)
    assert run.record["status"] in ("done", "collapsed")
    assert all(0 < part["changed"] <= part["of"] for part in run.record["acts_on"].values())
    before, after = (run.members[f"handwritten_digits/test/outputs/{step:06d}"] for step in (0, 4))
    assert np.abs(after - before).max() > SEEN
    if plain := PLAIN.get(name):
        without = train(*words, *plain.split()).members["handwritten_digits/test/outputs/000004"]
        assert np.abs(after - without).max() > SEEN


def test_the_record_says_how_much_is_adapted(train):
    whole, above = (
        train(*PICTURES, *trunk, "strategy=adaptive_bn").record["acts_on"]["BatchNorm layers"]
        for trunk in ((), TRUNK)
    )
    assert whole["changed"] == whole["of"] == above["of"] > above["changed"] > 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("adaptive_bn", "no BatchNorm layer above what is frozen"),
        ("tent", "no normalisation layer above what is frozen"),
        ("mixstyle", "no two stages of convolutions above what is frozen"),
    ],
)
def test_what_nothing_is_left_for_is_not_applicable(config, name, says):
    with pytest.raises(NotApplicable, match=says):
        request.resolve(
            config(*PICTURES, f"strategy={name}", "+backbone.trunk=layer4", "initialisation=source")
        )
