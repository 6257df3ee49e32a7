"""Parts of a user's own that a yaml in a folder of theirs names: validators, distances, transferability
scores, metrics. They are registered once, and are then chosen by name as the project's own are."""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import cast

from transferscope.catalog import yamls
from transferscope.catalog.own_functions import OwnFunction, own_functions
from transferscope.errors import RequestError, nearest
from transferscope.store.schema import mismatch
from transferscope.tasks import metrics

# config group -> package that has the project's own; imported where there is one of a user's
MEASURES = {"validator": "validators", "distance": "distances", "transferability": "transferability"}
OUR_METRICS = set(metrics.METRICS)


def register_own_parts(config_dir: Path | str | None = None) -> None:
    """Of Hydra's search path, and of a folder that a command is given."""
    more = () if config_dir is None else (yamls.config_folder(config_dir),)
    _register(tuple(f for f in dict.fromkeys((*yamls.folders(), *more)) if f != yamls.own_folder()))


@cache
def _register(folders: tuple[Path, ...]) -> None:
    for group, name in MEASURES.items():
        if found := own_functions(group, folders):
            from transferscope.distances import public_functions

            package = import_module(f"transferscope.{name}")
            _refuse_names_of_ours(found, set(public_functions(package.__name__)), group)
            package.register({name: own.with_values(package.ASKS_FOR) for name, own in found.items()})
    found = own_functions("metric", folders)
    _refuse_names_of_ours(found, OUR_METRICS, "metric")
    for name, own in found.items():
        allowed = metrics.OwnMetric.__annotations__
        for key in own.values.keys() - allowed:
            raise RequestError(
                f"{own.path}: {key}: a metric says {', '.join(allowed)}{nearest(key, allowed)}"
            )
        if wrong := mismatch(own.values, metrics.OwnMetric):
            raise RequestError(
                f"{own.path}: {wrong} is missing or of another type; a metric says span, best, margin"
            )
        metrics.register(name, own.function, cast(metrics.OwnMetric, own.values))


def _refuse_names_of_ours(found: dict[str, OwnFunction], ours: set[str], group: str) -> None:
    for name in sorted(found.keys() & ours):
        path = found[name].path
        raise RequestError(f"{path}: the project has a {group} {name}; give the file another name")
