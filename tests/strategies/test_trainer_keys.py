"""Keys of the trainer that every strategy has: label smoothing, augmentation, early stopping."""

import sys

import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.data.augmentation import kornia_module
from transferscope.errors import NotApplicable, RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.request import resolve
from transferscope.training.source_models import source_model_key

SMALL_CNN = ("backbone._target_=transferscope.backbones.small_cnn.SmallCNN", "~backbone.hidden")
DIGITS = ("target=handwritten_digits", "source=printed_digits", "image_size=8", *SMALL_CNN)
PATIENT = ("trainer.patience=1", "selection=target_val")


def fingerprint(config, *overrides: str) -> str:
    return resolve(config(*overrides)).fingerprint


def test_runs_that_use_none_of_them_are_what_they_were(config):
    usual = resolve(config("strategy=fine_tuning")).consumed["trainer"]
    assert set(usual) == {"batch_size", "evaluations", "optimizer", "schedule", "steps", "source_steps"}
    spelt_out = (
        "trainer.label_smoothing=0",
        "trainer.augmentation=none",
        "trainer.patience=null",
        "selection=target_val",
    )
    assert fingerprint(config, "strategy=fine_tuning", *spelt_out) == fingerprint(
        config, "strategy=fine_tuning"
    )


@pytest.mark.parametrize(
    ("keys", "same_source_model"),
    [(("trainer.label_smoothing=0.1",), False), (("trainer.augmentation=crop",), False), (PATIENT, True)],
)
def test_each_makes_another_run_and_where_it_reaches_it_another_source_model(config, keys, same_source_model):
    one, other = (resolve(config("strategy=fine_tuning", *DIGITS, *more)) for more in ((), keys))
    assert one.fingerprint != other.fingerprint
    assert (
        source_model_key(one, one.run_data()) == source_model_key(other, other.run_data())
    ) == same_source_model


def test_what_ends_a_training_early_is_a_part_of_what_it_consumes(config):
    words = ("strategy=fine_tuning", "trainer.patience=1")
    rules = ("target_val", "snd", "entropy")
    assert len({fingerprint(config, *words, f"selection={rule}") for rule in rules}) == 3
    assert len({fingerprint(config, words[0], f"selection={rule}") for rule in rules}) == 1


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("trainer.label_smoothing=1", "trainer.label_smoothing=1: a number of at least 0 and below 1"),
        ("trainer.label_smoothing=true", "trainer.label_smoothing=True: a number"),
        (
            "trainer.augmentation=crops",
            "trainer.augmentation=crops: not one of none, crop, crop_flip, affine, crop_flip_color, delete, ",
        ),
        (
            "trainer.patience=0",
            "trainer.patience=0: evaluations without improvement, an integer of at least 1, or null",
        ),
        (
            "trainer.patience=3",
            (
                "trainer.patience=3: selection=last tells no improvement; give selection=source_val or "
                "target_val or "
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(config, value, told):
    with pytest.raises(RequestError) as refusal:
        resolve(config("strategy=fine_tuning", value))
    assert str(refusal.value).startswith(told) and "\n" not in str(refusal.value)


# --- label smoothing


def test_smoothed_labels_give_every_class_its_share():
    strategy = TargetOnly(Classifier(MLP((4,), hidden=[5]), classes=3))
    strategy.label_smoothing = 0.3
    logits, labels = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.1, 0.0]]), torch.tensor([0, 2])
    given = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])  # 1 - 0.3 + 0.3 / 3, and 0.3 / 3
    expected = -(given * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(strategy.task_loss(logits, labels), expected)


# --- augmentation


def test_an_augmented_run_is_another_one_and_repeats_bit_by_bit(train):
    plain = train("strategy=scratch", *DIGITS)
    once, again = (train("strategy=scratch", *DIGITS, "trainer.augmentation=crop") for _ in range(2))
    name = "handwritten_digits/test/outputs"
    assert once.bits == again.bits
    assert once.probabilities[f"{name}/000000"] == plain.probabilities[f"{name}/000000"]
    assert once.probabilities[f"{name}/000012"] != plain.probabilities[f"{name}/000012"]


def test_a_source_model_is_augmented_too_and_the_same_wherever_it_is_trained(train, tmp_path):
    cropped = (*DIGITS, "trainer.augmentation=crop")
    alone = train("strategy=fine_tuning", *cropped)
    train("strategy=source_only", *cropped, store=tmp_path)
    assert train("strategy=fine_tuning", *cropped, store=tmp_path).bits == alone.bits
    name = "handwritten_digits/test/outputs/000000"
    assert train("strategy=fine_tuning", *DIGITS).probabilities[name] != alone.probabilities[name]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("strategy=fine_tuning",), "target blobs holds arrays"),
        (("strategy=feature_extraction", *DIGITS), "strategy feature_extraction computes features once"),
        (("strategy=nearest_mean", *DIGITS), "strategy nearest_mean computes features once"),
    ],
)
def test_what_has_no_images_in_training_cannot_be_augmented(config, overrides, told):
    with pytest.raises(
        NotApplicable, match=f"trainer.augmentation=crop: {told}.*; give trainer.augmentation=none"
    ):
        resolve(config("trainer.augmentation=crop", *overrides))


@pytest.mark.parametrize("name", ["delete", "swap", "neighbours"])
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ((), "target blobs holds arrays, and images and texts alone can be augmented; give trainer.aug"),
        (
            DIGITS,
            "is for texts, and target handwritten_digits holds images; give crop, crop_flip, affine, "
            "crop_flip_color or none",
        ),
    ],
)
def test_augmentations_of_texts_are_refused_for_anything_else(config, name, overrides, told):
    with pytest.raises(NotApplicable) as refusal:
        resolve(config("strategy=scratch", *overrides, f"trainer.augmentation={name}"))
    assert str(refusal.value).startswith(f"trainer.augmentation={name}: {told}")
    assert "\n" not in str(refusal.value)


def test_colours_are_not_for_grey_images(config):
    jittered = ("strategy=scratch", *DIGITS, "trainer.augmentation=crop_flip_color")
    with pytest.raises(
        NotApplicable,
        match="trainer.augmentation=crop_flip_color: colour needs 3 channels, not 1; give .*=crop_flip$",
    ):
        resolve(config(*jittered))
    resolve(config(*jittered, "channels=3"))


def test_without_kornia_one_line_says_what_to_install(config, monkeypatch):
    kornia_module.cache_clear()
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(
        RequestError,
        match=(
            r"trainer.augmentation=affine: kornia is not installed; pip install "
            r"'transferscope\[augmentation\]'"
        ),
    ):
        resolve(config("strategy=scratch", *DIGITS, "trainer.augmentation=affine"))
    resolve(config("strategy=scratch", *DIGITS, "trainer.augmentation=crop_flip"))


# --- early stopping

LONG = ("trainer.steps=80", "trainer.evaluations=20")


def test_a_run_ends_after_its_best_evaluation_by_the_rule(train):
    run = train("strategy=fine_tuning", *LONG, *PATIENT)
    steps = run.record["result"]["evaluations"]
    accuracy = [
        (run.members[f"blobs/val/outputs/{step:06d}"].argmax(1) == run.members["blobs/val/targets"]).mean()
        for step in steps
    ]
    assert (
        steps[-1] < 80
        and run.record["status"] == "done"
        and run.record["result"]["steps"]["target"] == steps[-1]
    )
    assert accuracy[-1] <= max(accuracy[:-1]) and all(
        now > max(accuracy[:i]) for i, now in enumerate(accuracy[:-1]) if i
    )


def test_until_then_it_is_the_run_that_goes_on(train):
    whole, ended = train("strategy=fine_tuning", *LONG), train("strategy=fine_tuning", *LONG, *PATIENT)
    assert ended.probabilities.items() < whole.probabilities.items()


def test_it_may_go_by_a_validator(train):
    run = train("strategy=fine_tuning", *LONG, "trainer.patience=1", "selection=entropy")
    assert run.record["result"]["steps"]["target"] < 80


def test_a_rule_that_sees_no_label_is_not_applicable(config):
    with pytest.raises(NotApplicable, match="selection=source_val: strategy scratch sees no source"):
        resolve(config("strategy=scratch", "trainer.patience=1", "selection=source_val"))
    with pytest.raises(NotApplicable, match="selection=target_val: below 5 labels a class none is set aside"):
        resolve(config("strategy=fine_tuning", "label_budget=2", *PATIENT))


def test_a_source_model_is_not_cut_short(train, finished):
    assert train("strategy=source_only", *PATIENT).bits == finished("strategy=source_only").bits


def test_no_test_label_says_when_to_stop(train, pair, scrambled):
    clean, garbage = (
        train("strategy=fine_tuning", *LONG, *PATIENT, domains=d) for d in (pair, scrambled("blobs", "test"))
    )
    assert clean.probabilities == garbage.probabilities
