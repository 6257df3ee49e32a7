from pathlib import Path

import pytest

from store_fixture import write_store
from transferscope.compare import Comparison, compare


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("report") / "runs", n=200)


@pytest.fixture(scope="session")
def comparison(store) -> Comparison:
    return compare(store)
