import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource

from transferscope.catalog import yamls
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


@pytest.fixture(scope="session", autouse=True)
def yamls_read_once() -> Iterator[None]:
    """A third of composing a run is Hydra's reading of yamls: the project's and Hydra's own are read once a
    session, those that tests write each time."""
    kept, own = {}, str(yamls.own_folder())

    def reading_once(source: type):
        read = source.load_config

        def load_config(self, config_path: str):
            if source is FileConfigSource and not self.path.startswith(own):
                return read(self, config_path)
            key = self.scheme(), self.path, config_path
            if key not in kept:
                kept[key] = read(self, config_path)
            found = kept[key]
            return replace(found, config=deepcopy(found.config), header=dict(found.header))

        return load_config

    with pytest.MonkeyPatch.context() as patch:
        for source in (FileConfigSource, ImportlibResourcesConfigSource):
            patch.setattr(source, "load_config", reading_once(source))
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the public data files; tests that need it are skipped where there is none."""
    folder = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"TRANSFERSCOPE_DATA_ROOT={folder}: no such folder of data files")
    return Path(folder)
