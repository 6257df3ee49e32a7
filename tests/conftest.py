import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from transferscope.data import files


@pytest.fixture(scope="session", autouse=True)
def decoded_pictures(tmp_path_factory) -> Iterator[Path]:
    """Where pictures that were decoded once are kept: not in the user's own cache."""
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "decoded_pictures", lambda: folder)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def no_terminal() -> Iterator[None]:
    """pytest-xdist tells its workers the width of the terminal, and a pipe has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the public data files; tests that need it are skipped where there is none."""
    folder = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"TRANSFERSCOPE_DATA_ROOT={folder}: no such folder of data files")
    return Path(folder)
