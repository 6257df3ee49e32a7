"""The begins of test texts, one file for each state of the data, shared by all runs of a store.

`.cache/texts/{digest}.json.gz`: by item id one text, or two."""

import gzip
import json
import os
from functools import lru_cache
from pathlib import Path

from transferscope.store.lease import locked

MOST = 300  # characters of a text
JOINERS = "\u00ad\u200c\u200d"  # of syllables, letters and emoji: they steer nothing


def excerpt(text: str) -> str:
    """In one line, without anything that could steer a terminal or the direction of what follows."""
    shown = "".join(map(_shown, " ".join(text[: 4 * MOST].split())))
    return shown if len(shown) <= MOST and len(text) <= 4 * MOST else f"{shown[:MOST].rstrip()}…"


def _shown(sign: str) -> str:
    return sign if sign.isprintable() or sign in JOINERS else "�"


def path(store: Path, digest: str) -> Path:
    """digest: the data's content hash, `consumed.target.digest` of a record."""
    return Path(store) / ".cache" / "texts" / f"{digest}.json.gz"


def write_excerpts(store: Path, digest: str, texts: dict[str, tuple[str, ...]]) -> None:
    """Adds those that the store does not have yet, by item id."""
    file = path(store, digest)
    if file.exists() and _known(file, file.stat().st_mtime_ns) >= texts.keys():
        return
    with locked(file.with_suffix(".lock")):
        known = read_excerpts(store, digest)
        if known.keys() >= texts.keys():
            return
        known |= {item: [excerpt(text) for text in parts] for item, parts in texts.items()}
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            draft.write_bytes(gzip.compress(json.dumps(known).encode(), mtime=0))
            os.replace(draft, file)
        finally:
            draft.unlink(missing_ok=True)


@lru_cache(maxsize=4)
def _known(file: Path, changed: int) -> frozenset[str]:
    return frozenset(read_excerpts(file.parents[2], file.name.partition(".")[0]))


def read_excerpts(store: Path, digest: str) -> dict[str, list[str]]:
    """Empty where the store has none of this data that can be read. A store may come from anywhere: every
    text is cut and cleaned anew."""
    try:
        found = json.loads(gzip.decompress(path(store, digest).read_bytes()))
        return {str(item): [excerpt(str(text)) for text in parts] for item, parts in found.items()}
    except Exception:  # none, or damaged, which fails in many ways: the next run writes them anew
        return {}
