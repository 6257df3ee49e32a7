"""What Hydra, OmegaConf and the reader of yamls complain of, each in one line: the key, the value, the
nearest that is allowed."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from transferscope.catalog import yamls
from transferscope.errors import RequestError, nearest

GROUP_WITHOUT_NAME = re.compile(
    r"(?i)[+~]*(strategy|backbone|trainer|tracking|experiment|hydra/\w+)=(.*,)?(null|true|false|[-\d.e]+)(,.*)?"
)

NOT_FOUND = re.compile(r"Could not (?:override|find) '([\w./@]+)'")


@contextlib.contextmanager
def in_one_line(overrides: list[str], *config_dirs: Path) -> Iterator[None]:
    """Inside, what Hydra and OmegaConf raise is a RequestError."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except YAMLError as error:
        raise RequestError(yamls.mistake(error)) from error
    except (HydraException, OmegaConfBaseException) as error:
        if isinstance(error.__cause__, RequestError):  # Hydra wraps what a constructor raises
            raise error.__cause__ from error
        raise RequestError(explain(error, *config_dirs) + of_several(error, overrides)) from error
    except UnicodeDecodeError:  # which does not say where
        for path in (path for folder in config_dirs for path in sorted(folder.rglob("*.yaml"))):
            yamls.read(path)
        raise
    except ValueError as error:  # of Hydra's, for null or a number as a choice
        if not str(error).startswith("Config group override"):
            raise
        word = next((w for w in overrides if GROUP_WITHOUT_NAME.fullmatch(w)), "experiment=null")
        raise RequestError(
            f"{word}: the name of a yaml is needed; leave {word.partition('=')[0].lstrip('+~')} out for the "
            "usual one"
        ) from error


def of_several(error: Exception, overrides: list[str]) -> str:
    """What is added where a key is not found and its group has several choices. Hydra first composes with
    plain values and without what is swept, so it looks for the key in the group's usual choice."""
    missing = NOT_FOUND.match(str(error))
    key = missing[1] if missing else ""
    several = next((w for w in overrides if w.startswith(f"{key.partition('.')[0]}=") and "," in w), None)
    if several is None or "." not in key:
        return ""
    value = next((w.partition("=")[2] for w in overrides if w.startswith(f"{key}=")), "")
    swept = "," in value or value.startswith(("choice(", "range(", "glob("))
    return f"; every one of {several} must have it" + (
        "" if swept else f", and one value for all is written '{key}=choice({value})'"
    )


def explain(error: Exception, *config_dirs: Path) -> str:
    """Hydra's and OmegaConf's complaints as one line: the key, the value, the nearest valid one."""
    from hydra.errors import MissingConfigException, OverrideParseException

    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if (group, name) == ("hydra/sweeper", "optuna"):
            return (
                "hydra/sweeper=optuna: hydra-optuna-sweeper is not installed here; it wants an older optuna "
                "than transferscope[search] brings; --search searches with optuna"
            )
        known = f"not one of {', '.join(error.options)}{nearest(name, error.options)}"
        return f"{group}={name}: {yamls.astray(group, name, *config_dirs) or known}"
    if missing := NOT_FOUND.match(str(error)):
        key = missing[1]
        parent = next((e.parent_node for e in chain if getattr(e, "parent_node", None) is not None), None)
        keys = [str(k) for k in parent] if parent is not None and hasattr(parent, "keys") else []
        near = nearest(key.rpartition(".")[2], [k for k in keys if k != "hydra"])
        return (
            f"{key}: no such "
            f"key{near}{' among ' + ', '.join(k for k in keys if k != 'hydra') if keys and not near else ''}"
        )
    if str(error).startswith("Ambiguous value"):
        return f"{str(error).splitlines()[0]}; add -m to sweep over the values, or write [a,b] for a list"
    lines = [str(e).strip().split("\n")[0] for e in chain]
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        lines = [
            error.override,
            (
                "cannot be read; a text with other signs than letters, digits and ./-_ stands in quotes, "
                f"'{key}=\"{value}\"'"
            ),
        ]
    return ": ".join(dict.fromkeys(line for line in lines if line))
