"""What is printed: in any encoding, that of the terminal or of the file that output goes to, and without the
logs of libraries."""

import codecs
import logging
import os
import shutil
import sys
import unicodedata
from typing import Any

ASCII = {
    "→": "->", "←": "<-", "↑": "^", "↓": "v", "−": "-", "–": "-", "—": "-", "±": "+/-", "×": "x", "·": ".",
    "…": "...", "Δ": "delta", "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "α": "alpha", "★": "*", "✓": "ok",
    "✗": "x", "“": '"', "”": '"', "‘": "'", "’": "'",
    "½": "1/2", "Σ": "sum", "‖": "||",
}  # fmt: skip


def show(found: Any, form: str) -> None:
    """Prints a comparison, claims or a plan: a table as wide as the terminal and in its colours, or what
    `to_{form}` gives."""
    if form == "table":
        columns = shutil.get_terminal_size((140, 40)).columns
        print(found.to_table(columns, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ), end="")
    else:
        print(getattr(found, f"to_{form}")().rstrip("\n"))


def write_any_text() -> None:
    """From here on stdout and stderr write a sign that their encoding lacks as its nearest in ASCII, or as
    `?`."""
    codecs.register_error("transferscope", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not one that a test or a notebook has put there
            stream.reconfigure(errors="transferscope")


def quiet_libraries() -> None:
    """matplotlib, which others import, warns on the way that the user's home cannot be written to. Nothing
    here draws with it."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(ASCII.get(sign) or _plain(sign) for sign in signs), error.end


def _plain(sign: str) -> str:
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or (
        "-" if unicodedata.name(sign, "").startswith("BOX") else "?"
    )
