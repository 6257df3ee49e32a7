"""Callbacks and loggers of Lightning's that a config lists under `trainer`."""

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
from hydra.utils import get_class, instantiate

from transferscope.training.identity import identity

ONLY_WATCHES = "only_watches"  # of an entry: it changes no number, so the run is the same without it
BATCH_HOOKS = ("on_train_batch_start", "on_train_batch_end")
STEP_HOOKS = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")

Entry = dict[str, Any]


def acting(entries: list[Entry]) -> list[Entry]:
    """Those that are a part of the training."""
    return [entry for entry in entries if not entry.get(ONLY_WATCHES)]


def consumed(entry: Entry) -> Entry:
    """What a fingerprint says of a `_target_` with its arguments: name and source of the class. Of further
    ones among the arguments likewise."""

    def of(value: Any) -> Any:
        match value:
            case {"_target_": str()}:
                return consumed(value)
            case list():
                return [of(item) for item in value]
        return value

    name, source = identity(get_class(entry["_target_"]))
    inner = {key: of(value) for key, value in entry.items()}
    return {**inner, "_target_": name, **({} if source is None else {"source": source})}


def built(entries: Iterable[Entry]) -> list[Any]:
    return [
        instantiate({key: value for key, value in entry.items() if key != ONLY_WATCHES}, _convert_="all")
        for entry in entries
    ]


def overriding(callbacks: Iterable[pl.Callback], hooks: tuple[str, ...]) -> list[pl.Callback]:
    """The callbacks that have one of these hooks."""
    return [
        callback
        for callback in callbacks
        if any(getattr(type(callback), hook) is not getattr(pl.Callback, hook) for hook in hooks)
    ]
