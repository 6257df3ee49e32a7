"""A yaml's keys held against the signature of what it names."""

import inspect
import json
import typing
from collections.abc import Callable, Collection
from typing import Any

from pydantic import TypeAdapter, ValidationError

from transferscope.catalog.yamls import targets_of
from transferscope.errors import RequestError, nearest

HYDRAS = ("_target_", "_convert_", "_recursive_")


def check_arguments(
    section: str,
    what: Callable,
    values: dict[str, Any],
    given: Collection[str] = (),
    apart: Collection[str] = HYDRAS,
) -> None:
    """Every key of a yaml must be an argument of its class or function, and of the annotated type; no
    argument without a default may be missing.

    section: where the keys are, "" for a yaml of its own. given: the arguments that come from elsewhere.
    apart: keys that are no arguments. Raises RequestError."""
    prefix = f"{section}." if section else ""
    parameters, hints = inspect.signature(what).parameters, _hints(what)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {
        name: p
        for name, p in parameters.items()
        if name not in given and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    for key, value in values.items():
        if key in apart:
            continue
        if key not in named and (not takes_any or key.startswith("_") or key in given):
            raise RequestError(
                f"{prefix}{key}={value}: {what.__name__} takes "
                f"{', '.join(named) or 'no keys'}{nearest(key, named)}"
            )
        is_built = bool(targets_of(value))  # by Hydra, into something else
        if key in hints and not is_built and not _fits(value, hints[key]):
            raise RequestError(
                f"{prefix}{key}={'null' if value is None else value}: {_type_name(hints[key])} is needed, "
                f"not {type(value).__name__}"
            )
    if missing := [
        name
        for name, parameter in named.items()
        if parameter.default is parameter.empty and name not in values
    ]:
        kind = f" ({_type_name(hints[missing[0]])})" if missing[0] in hints else ""
        raise RequestError(
            f"{prefix}{missing[0]}: a value is needed{kind}, {what.__name__} cannot do without"
        )


def _hints(what: Callable) -> dict[str, Any]:
    try:
        return typing.get_type_hints(what.__init__ if isinstance(what, type) else what)
    except Exception:
        # a name that only type checkers import: nothing is known of the types, and the callable says itself
        # what it lacks
        return {}


def _type_name(hint: Any) -> str:
    return (
        hint.__name__
        if isinstance(hint, type) and not typing.get_args(hint)
        else str(hint).replace("typing.", "")
    )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a yaml is of an annotated type, as strict JSON: 3 is a float, "3" and true are not,
    a list is a tuple."""
    adapter = TypeAdapter(hint, config={"arbitrary_types_allowed": True})
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        try:
            adapter.validate_python(value, strict=True)  # of a class that JSON knows nothing of, as Number
        except ValidationError:
            return False
    return True
