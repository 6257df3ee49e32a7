import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the public data files; tests that need it are skipped where there is none."""
    folder = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"TRANSFERSCOPE_DATA_ROOT={folder}: no such folder of data files")
    return Path(folder)
