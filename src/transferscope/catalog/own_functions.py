"""Functions that yamls of a user's own folder name: VALIDATOR in my_conf/validator/VALIDATOR.yaml."""

import inspect
from collections.abc import Callable
from functools import partial, update_wrapper
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from transferscope.catalog import yamls
from transferscope.catalog.arguments import HYDRAS, check_arguments
from transferscope.errors import RequestError


class OwnFunction(NamedTuple):
    """The function that a yaml names as `_target_`, and the yaml's other keys."""

    path: Path
    function: Callable[..., Any]
    values: dict[str, Any]

    def with_values(self, handed: set[str]) -> Callable[..., Any]:
        """The function with the yaml's other keys as arguments. handed: what it may ask for when it is
        called. Raises RequestError for a key that it does not take, and for what it asks for in vain."""
        asked = {
            name
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.default is parameter.empty and name not in self.values
        }
        if missing := sorted(asked - handed):
            raise RequestError(
                f"{self.path}: {self.function.__name__} asks for {missing[0]}; it may ask for "
                f"{', '.join(sorted(handed))}, and for keys of the yaml"
            )
        try:
            check_arguments("", self.function, self.values, asked, HYDRAS)
        except RequestError as error:
            raise RequestError(f"{self.path}: {error}") from error
        if not self.values:
            return self.function
        bound = update_wrapper(partial(self.function, **self.values), self.function)
        del bound.__wrapped__  # its signature is that of the partial
        return bound


def own_functions(group: str, folders: tuple[Path, ...]) -> dict[str, OwnFunction]:
    """By name, what every yaml of a config group in these folders names. Raises RequestError for a yaml that
    names no function."""
    found = {}
    for path in (path for folder in folders for path in sorted((folder / group).glob("*.yaml"))):
        values = yamls.plain(path)
        target = values.pop("_target_", None)
        if not isinstance(target, str):
            raise RequestError(f"{path}: _target_ is missing; give the function, as in my_module.my_function")
        found[path.stem] = OwnFunction(path, _function(path, target), values)
    return found


def _function(path: Path, target: str) -> Callable[..., Any]:
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except Exception as error:  # whatever the user's file does when it is imported
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"{path}: _target_={target}: cannot be imported ({why}); for a file of the current folder: "
            "export PYTHONPATH=."
        ) from error
    if not callable(found):
        raise RequestError(f"{path}: _target_={target}: is no function")
    return found
