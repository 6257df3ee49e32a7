"""What is printed where the terminal, or the file that output goes to, cannot encode every sign that is used here."""

import codecs
import sys
import unicodedata

ASCII = {
    "→": "->", "←": "<-", "↑": "^", "↓": "v", "−": "-", "–": "-", "—": "-", "±": "+/-", "×": "x", "·": ".", "…": "...", "Δ": "delta",
    "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "α": "alpha", "★": "*", "✓": "ok", "✗": "x", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip


def write_any_text() -> None:
    """From here on stdout and stderr write a sign that their encoding lacks as its nearest in ASCII, or as `?`."""
    codecs.register_error("transferscope", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not one that a test or a notebook has put there
            stream.reconfigure(errors="transferscope")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(ASCII.get(sign) or _plain(sign) for sign in signs), error.end


def _plain(sign: str) -> str:
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or ("-" if unicodedata.name(sign, "").startswith("BOX") else "?")
