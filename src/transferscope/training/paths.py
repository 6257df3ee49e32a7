"""Paths as they are typed: ~ stands for the home folder wherever it is written, and no sign in a path means
anything else."""

import os
import re

from transferscope.errors import RequestError

KEYS = ("store", "data_root")  # keys whose value is one path, whatever is in it
PLAIN = re.compile(r"[\w./-]+", re.ASCII)  # what Hydra's grammar takes as it is
WORD = re.compile(r"""(?s)(--[\w-]+=)?(~(?:/.*)?)""")


def home(path: str, key: str = "") -> str:
    """The path that a key, or an option, gives, with the home folder in the place of `~` or `~NAME`. Raises
    Raises RequestError where there is no such user."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise RequestError(
            f"{key}{'=' if key else ''}{path}: whose home folder that is, is not known; write the path in "
            "full"
        )
    return expanded


def words(argv: list[str]) -> list[str]:
    """The words of a command line with the home folder in the place of a `~` that the shell left:
    `--config-dir=~/conf`, `'store="~/runs"'`."""
    return [_word(word) for word in argv]


def for_hydra(overrides: list[str]) -> list[str]:
    """The same with the paths of KEYS in quotes, where Hydra would read something into a sign of theirs."""
    split = [word.partition("=") for word in overrides]
    return [
        f"{key}={quoted(value)}" if _is_path(key) and value else f"{key}{sign}{value}"
        for key, sign, value in split
    ]


def quoted(text: str) -> str:
    """A text as a value of Hydra's command line."""
    escaped = re.sub(r"(\\+)$", r"\1\1", re.sub(r"(\\*)'", r"\1\1\\'", text))
    return text if PLAIN.fullmatch(text) else f"'{escaped}'"


def _word(word: str) -> str:
    key, sign, value = word.partition("=")
    if sign and _is_path(key):
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1].replace(f"\\{value[0]}", value[0])
        return f"{key}={home(value, key)}"
    option = WORD.fullmatch(word)
    return (option[1] or "") + home(option[2]) if option else word


def _is_path(key: str) -> bool:
    return key.lstrip("+") in KEYS
