"""Texts of a store, which may come from anywhere, as a terminal can take them."""

from typing import Any


def printable(value: Any) -> Any:
    """The same with � in place of what could steer a terminal or break a line, in texts and keys at any
    depth."""
    match value:
        case str():
            return value if value.isprintable() else "".join(c if c.isprintable() else "�" for c in value)
        case dict():
            return {
                printable(key): item if key == "traceback" else printable(item) for key, item in value.items()
            }
        case list():
            return [printable(item) for item in value]
        case _:
            return value
