"""Official files under a data root: found where they lie, fetched where that was asked for, refused in one
line where they are missing; and where pictures lie that were decoded once."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from transferscope.errors import RequestError


def decoded_pictures() -> Path:
    """A folder of the user's own cache, which all stores share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "transferscope" / "pictures"


def official_file(
    data_root: str | Path,
    candidates: Sequence[str],
    origin: str,
    fetch: Callable[[Path], object] | None = None,
) -> Path:
    """The first of `candidates` (paths relative to `data_root`) that exists.

    origin: where the file comes from, for the message.
    fetch: writes the files below the folder it is given; called only if none of the candidates exists.
    Raises RequestError if there is still none.
    """
    root = Path(data_root).expanduser()
    found = _first(root, candidates)
    if found is None and fetch is not None:
        fetch_whole(root, fetch, origin)
        found = _first(root, candidates)
    if found is None:
        remedy = "pass data_root=FOLDER that holds it"
        if fetch is None:
            remedy += " or download=true"
        raise RequestError(
            f"data_root={data_root}: no {candidates[0]} there; it comes from {origin}; {remedy}"
        )
    return found


def _first(root: Path, candidates: Sequence[str]) -> Path | None:
    return next((root / c for c in candidates if (root / c).is_file()), None)


def fetch_whole(root: Path, fetch: Callable[[Path], object], origin: str) -> None:
    """Into a temporary folder first: a broken download must not pass for the file the next time."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=root, prefix=".fetch-") as folder:
            fetch(Path(folder))
            for file in [f for f in Path(folder).rglob("*") if f.is_file()]:
                goal = root / file.relative_to(folder)
                goal.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, goal)
    except (OSError, RuntimeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"download=true: {origin}: {first_line}; pass data_root=FOLDER that holds the files"
        ) from error
