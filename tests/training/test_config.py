"""The typed config against the yamls it is composed of, and the line that refuses a value."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from transferscope.catalog import yamls
from transferscope.errors import RequestError
from transferscope.training.checks import check_values
from transferscope.training.config import RunConfig, TrackingConfig, TrainerConfig, typed
from transferscope.training.request import plain, resolve


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
        return compose("config", overrides=["target=handwritten_digits", *overrides])


def test_the_models_have_the_keys_of_the_yamls():
    folder = yamls.own_folder()
    own = OmegaConf.load(folder / "config.yaml").keys() - {"defaults", "hydra"}
    groups = {"strategy", "backbone", "trainer", "tracking"}
    assert RunConfig.model_fields.keys() == own | groups | {"notes"}
    assert TrainerConfig.model_fields.keys() == set(OmegaConf.load(folder / "trainer" / "default.yaml"))
    for name in yamls.names("tracking"):
        assert TrackingConfig.model_fields.keys() == set(OmegaConf.load(folder / "tracking" / f"{name}.yaml"))


def test_every_value_comes_as_it_is():
    """1 stays 1 and 1.0 stays 1.0: what is hashed may be read from either."""
    values = plain(composed("trainer.label_smoothing=0", "source_label_noise=1"))
    asked = typed(values)
    sections = {"trainer": asked.trainer, "tracking": asked.tracking}
    for section, of in ((values, asked), *((values[name], of) for name, of in sections.items())):
        for key, value in section.items():
            if key not in sections:
                assert repr(getattr(of, key)) == repr(value), key


def test_a_seed_and_a_twin_have_draws_of_their_own():
    words = ("strategy=fine_tuning", "source=printed_digits", "label_budget=full", "backbone=small_cnn")
    asked = (("seed=0",), ("seed=1",), ("seed=0", "twin=true"))
    assert len({resolve(composed(*words, *more)).stream() for more in asked}) == 3


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("seed", True, "seed=True: an integer of at least 0 is needed"),
        ("seed", 1.0, "seed=1.0: an integer of at least 0 is needed"),
        (
            "protocol",
            "transduktive",
            "protocol=transduktive: not one of inductive, transductive; did",
        ),
        ("folds", 1, "folds=1: an integer of at least 2 or null is needed"),
        ("fold", "first", "fold=first: 0 to 4 or null is needed, as there are 5 folds (folds)"),
        (
            "label_budget",
            "ful",
            "label_budget=ful: labelled items a class, an integer of at least 0",
        ),
        ("download", 1, "download=1: true or false is needed"),
        ("source_label_noise", 1.5, "source_label_noise=1.5: a share between 0 and 1 is needed"),
        ("source", ["mnist", 3], "source=['mnist', 3]: a domain, a list [a,b] of domains, or null is needed"),
        ("store", "", "store=: a folder is needed"),
        ("trainer.steps", 0, "trainer.steps=0: an integer of at least 1 is needed"),
        ("trainer.precision", 32, "trainer.precision=32: not one of 32-true, bf16-mixed, 16-mixed"),
        (
            "trainer.label_smoothing",
            False,
            "trainer.label_smoothing=False: a number of at least 0",
        ),
        ("tracking.artifacts", None, "tracking.artifacts=None: true or false is needed"),
        ("tracking.mode", False, "tracking.mode=False: not one of offline, online, off"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(key, value, line):
    values = plain(composed())
    section, name = (values, key) if "." not in key else (values[key.split(".")[0]], key.split(".")[1])
    section[name] = value
    with pytest.raises(RequestError) as refusal:
        check_values(values)
    assert str(refusal.value).startswith(line) and "\n" not in str(refusal.value)


def test_a_wrong_number_of_folds_is_told_before_what_fold_makes_of_it():
    values = plain(composed()) | {"fold": "first", "folds": 1}
    with pytest.raises(RequestError, match="^folds=1: an integer"):
        check_values(values)
