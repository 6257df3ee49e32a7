"""What the keys of a config may say, each for itself, and what a constructor takes."""

import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from transferscope.catalog import yamls
from transferscope.catalog.arguments import HYDRAS, check_arguments
from transferscope.errors import RequestError, nearest
from transferscope.strategies.base import COMMON_KEYS, SIGHTS, Strategy
from transferscope.training.callbacks import ONLY_WATCHES
from transferscope.training.config import FOLDS, PRETRAINING, SECTIONS, RunConfig, selections, typed

# it says in several lines what is refused here in one
logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)

# what of source and target has reached the weights that a run starts from
REACHED_BY_START = {
    "source": {"source_inputs", "source_labels"},
    **dict.fromkeys(PRETRAINING, {"source_inputs"}),
    "mlm": {"source_inputs", "target_inputs"},
}

# keys of the trainer, consumed where they are not as here
OPTIONAL = {
    "augmentation": "none", "label_smoothing": 0.0, "patience": None, "gradient_clip_val": None,
    "accumulate_grad_batches": 1, "l1_penalty": 0.0, "class_weights": "none", "sampler": "shuffle",
    "lr_range_test": None, "devices": 1, "loss": "auto",
}  # fmt: skip
NOT_UNDER_MANUAL_OPTIMISATION = (StochasticWeightAveraging, GradientAccumulationScheduler)
STARTS = ("random", "weights", "source")  # of strategy.starts_from


NOTES = "notes"  # the one section that nothing reads: +notes.KEY=VALUE
OF_SWEEPS = ("until_decided", "search", "settle")
NO_ARGUMENTS = {  # keys of a yaml that its constructor is not given
    "strategy": (*HYDRAS, *COMMON_KEYS), "backbone": (*HYDRAS, "name"),
    "trainer.optimizer": (*HYDRAS, "_partial_"),
}  # fmt: skip


@lru_cache(maxsize=1)
def _keys() -> dict[str, frozenset[str]]:
    """The keys of each section whose keys are fixed; "" is the whole config."""
    own = cast(DictConfig, OmegaConf.load(yamls.own_folder() / "config.yaml"))
    models = {name: frozenset(model.model_fields) - {NOTES} for name, model in SECTIONS.items()}
    return models | {section: frozenset(map(str, own[section])) for section in OF_SWEEPS}


def check_sections(c: dict[str, Any]) -> None:
    """Nothing was taken out, nothing is there that nobody reads, and what is a choice is one."""
    check_keys("", c, optional={NOTES, *OF_SWEEPS})
    for key in ("strategy", "backbone", "trainer", "tracking", "trainer.optimizer"):
        section = c["trainer"].get("optimizer") if key == "trainer.optimizer" else c.get(key)
        if not isinstance(section, dict):
            raise RequestError(f"{key}={section}: a choice of its own keys is needed, not a value")
        if key not in ("trainer", "tracking") and not isinstance(section.get("_target_"), str):
            raise RequestError(
                f"{key}._target_={section.get('_target_')}: the class that the yaml is about is needed"
            )
    for key in (*OF_SWEEPS, NOTES):
        if not isinstance(c.get(key, {}), dict):
            raise RequestError(f"{key}={c[key]}: keys and their values are needed, such as +{key}.KEY=VALUE")
    for key in ("trainer", "tracking", *(key for key in OF_SWEEPS if key in c)):
        check_keys(key, c[key])


def check_keys(section: str, values: dict[str, Any], optional: Collection[str] = ()) -> None:
    """Raises RequestError for a key that the section ("" is the whole config) has not, and for one that is
    missing and not optional."""
    prefix, allowed = f"{section}." if section else "", _keys()[section]
    for key, value in values.items():
        if key not in allowed and key not in optional:
            near = nearest(key, allowed)
            among = f" among {', '.join(sorted(allowed))}" if section and not near else ""
            raise RequestError(
                f"{prefix}{key}={value}: no such key{near}{among}; a note of your own is +{NOTES}.KEY=VALUE"
            )
    if gone := sorted(allowed - values.keys() - set(optional)):
        names = [] if section else yamls.names(gone[0])
        among = f", one of {', '.join(names)}" if names else ""
        raise RequestError(f"{prefix}{gone[0]}: a value is needed{among}")


def check_values(c: dict[str, Any]) -> RunConfig:
    """What each key says, and what keys say of each other."""
    start = c["strategy"].get("starts_from")
    if start not in STARTS:
        raise RequestError(
            f"strategy.starts_from={start}: not one of {', '.join(STARTS)}{nearest(start, STARTS)}"
        )
    _check_fold(c["fold"], c["folds"])
    config = typed(c)
    if config.selection not in selections():
        raise RequestError(
            f"selection={config.selection}: not one of {', '.join(selections())}"
            f"{nearest(config.selection, selections())}"
        )
    patience = config.trainer.patience
    if patience is not None and config.selection == "last":
        raise RequestError(
            f"trainer.patience={patience}: selection=last tells no improvement; give "
            f"selection={' or '.join(selections()[1:])}"
        )
    for key, folder in (("store", config.store), ("data_root", config.data_root)):
        # a folder called s3: would be made, and checkpoints be looked for elsewhere
        if remote := re.search(r"\w+://|::", folder):
            raise RequestError(f"{key}={folder}: a folder of this machine is needed, without {remote[0]}")
    if len(set(config.sources)) != len(config.sources):
        raise RequestError(f"source={config.source}: the same domain twice")
    if config.target in config.sources:
        raise RequestError(f"source={config.source}: the target itself cannot be its own source")
    return config


def _check_fold(fold: Any, folds: Any) -> None:
    if folds is not None and (not _is_integer(folds) or folds < 2):
        return  # refused by itself
    if fold is None and folds is not None:
        raise RequestError(
            f"folds={folds}: says nothing without fold; give fold=range(0,{folds}) with run -m"
        )
    if fold is not None and (not _is_integer(fold) or not 0 <= fold < (folds or FOLDS)):
        raise RequestError(
            f"fold={fold}: 0 to {(folds or FOLDS) - 1} or null is needed, as there are {folds or FOLDS} "
            "folds (folds)"
        )


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def strategy_class(values: dict[str, Any]) -> type[Strategy]:
    """The class that a yaml of conf/strategy names."""
    strategy, target = class_of("strategy", values, Strategy), values["_target_"]
    if not hasattr(strategy, "sees"):
        raise RequestError(
            f"strategy._target_={target}: a subclass of {Strategy.__module__}.Strategy with `sees` is needed"
        )
    if hasattr(strategy, "probabilities"):  # which nothing would call
        raise RequestError(
            f"strategy._target_={target}: `probabilities` is called `predictions` now; rename it"
        )
    if unknown := sorted(strategy.sees - set(SIGHTS)):
        raise RequestError(
            f"strategy._target_={target}: sees {unknown[0]}, not one of "
            f"{', '.join(SIGHTS)}{nearest(unknown[0], SIGHTS)}"
        )
    return strategy


def class_of(section: str, values: dict[str, Any], base: type) -> type:
    """The class that a section names as `_target_`. Raises RequestError where it cannot be imported, is no
    `base`, or its yaml has no name."""
    target, name = values["_target_"], values.get("name")
    try:
        found = get_class(target)
    except Exception as error:  # Hydra says with several types that an import failed
        why = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"{section}._target_={target}: cannot be imported ({why}); for a file of the current folder: "
            "export PYTHONPATH=."
        ) from error
    if not issubclass(found, base):
        raise RequestError(
            f"{section}._target_={target}: a subclass of {base.__module__}.{base.__name__} is needed"
        )
    if section in ("strategy", "backbone") and (not isinstance(name, str) or not name):
        raise RequestError(f"{section}.name={name}: the yaml of {target} needs the name of its file here")
    return found


def check_entries(section: str, entries: list[Any], base: type) -> None:
    """Raises RequestError for an entry of a list that is no `_target_` of a subclass with its arguments."""
    for number, entry in enumerate(entries):
        at = f"{section}[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("_target_"), str):
            raise RequestError(f"{at}={entry}: a _target_ and its arguments are needed")
        if not isinstance(entry.get(ONLY_WATCHES, False), bool):
            raise RequestError(f"{at}.{ONLY_WATCHES}={entry[ONLY_WATCHES]}: true or false is needed")
        found = class_of(at, entry, base)
        if issubclass(found, NOT_UNDER_MANUAL_OPTIMISATION):
            raise RequestError(
                f"{at}._target_={entry['_target_']}: goes by Lightning's own optimisation, and strategies "
                "take their steps themselves; EMAWeightAveraging and trainer.accumulate_grad_batches do not"
            )
        check_arguments(at, found, entry, apart=(*HYDRAS, ONLY_WATCHES))


def check_schedule(schedule: dict[str, Any], at: str = "trainer.schedule") -> None:
    """Raises RequestError for what is no schedule of torch's that goes by steps; it may hold lists of
    further ones."""
    found = class_of(at, {"_target_": "", **schedule}, LRScheduler)
    if issubclass(found, ReduceLROnPlateau):
        raise RequestError(
            f"{at}._target_={schedule['_target_']}: waits for a metric; a schedule of steps is needed"
        )
    inner = {key: value for key, value in schedule.items() if key == "schedulers" and isinstance(value, list)}
    for key, further in inner.items():
        for number, one in enumerate(further):
            check_schedule(one if isinstance(one, dict) else {}, f"{at}.{key}[{number}]")
    own = {key: value for key, value in schedule.items() if key not in inner}
    check_arguments(at, found, own, given={"optimizer", *inner})


def check_hydra(node: DictConfig, at: str = "hydra") -> None:
    """Raises RequestError for a key that `+` has put among Hydra's own, which nobody reads."""
    kind = OmegaConf.get_type(node)
    # hydra/env is a group without a field
    known = {"env", *(one.name for one in fields(kind))} if is_dataclass(kind) else set(node)
    for key in cast(Iterable[str], node):
        if key not in known:
            raise RequestError(
                f"{at}.{key}={node[key]}: no such key{nearest(key, known)} among "
                f"{', '.join(sorted(known - {'env'}))}"
            )
        inner = node._get_node(key)
        if (
            isinstance(inner, DictConfig)
            and not inner._is_none()
            and not inner._is_missing()
            and not inner._is_interpolation()
        ):
            check_hydra(inner, f"{at}.{key}")


def check_constructor(
    section: str, what: Callable[..., Any], values: dict[str, Any], given: Collection[str]
) -> None:
    """`check_arguments` for a section of a config. given: the arguments that come from elsewhere."""
    check_arguments(section, what, values, given, NO_ARGUMENTS[section])
