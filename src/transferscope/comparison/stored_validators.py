"""Validators made on demand from the features that a run stored with `keep_features=true`. Imports no
torch."""

import contextlib
import json
from pathlib import Path

import numpy as np

from transferscope.errors import RequestError
from transferscope.store.record import write_atomically
from transferscope.validators import from_source_losses
from transferscope.validators.iwcv import importance_weights

VALIDATORS = from_source_losses()  # none of a user's own is among them
VERSION = 1  # raised when the numbers change: what was made before is then made again


def values(folder: Path, validator: str) -> dict[int, float] | None:
    """A validator's value by step, NaN where features or losses are not finite; None where the run stored no
    features.

    Made once, as it takes about a second a run, and left beside the features.
    """
    features = folder / "features"
    if not features.is_dir():
        return None
    made = features / f"values-{VERSION}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return {
            int(step): float(value) for step, value in json.loads(made.read_text("utf-8"))[validator].items()
        }
    by_step = {int(path.stem): _read(path) for path in sorted(features.glob("[0-9]*.npz"))}
    found = {name: {step: value[name] for step, value in by_step.items()} for name in VALIDATORS}
    with contextlib.suppress(OSError):  # a store that can only be read
        write_atomically(made, json.dumps(found))
    return found[validator]


def _read(path: Path) -> dict[str, float]:
    try:
        with np.load(path, allow_pickle=False) as members:
            source, val, target, losses = (
                members[name] for name in ("source", "source_val", "target", "losses")
            )
    except Exception as error:  # a damaged archive fails in many ways
        raise RequestError(
            f"{path}: not a file of features: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    if not all(np.isfinite(part).all() for part in (source, val, target, losses)):
        return dict.fromkeys(VALIDATORS, float("nan"))
    weights = importance_weights(source, target, at=val)
    # six digits, as in history.csv: the last ones depend on how many threads made them
    return {name: float(f"{validator(losses, weights):.6g}") for name, validator in VALIDATORS.items()}
