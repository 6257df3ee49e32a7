import os
import pickle
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

# before what brings OpenMP: of small matrices threads that wait for each other cost more than they give
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from lightning_fabric.utilities import registry

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
    session, those that tests write each time. Nor does Hydra copy all that it knows to answer a question."""
    # which imports the sources once more: the registry holds the classes that are used
    Plugins.instance()
    own = str(yamls.own_folder())
    kept: dict[tuple[str, ...], bytes] = {}

    def reading_once(source: type):
        read = source.load_config

        def load_config(self, config_path: str):
            if self.scheme() == "file" and not self.path.startswith(own):
                return read(self, config_path)
            key = self.scheme(), self.path, config_path
            if key not in kept:
                kept[key] = pickle.dumps(read(self, config_path), protocol=-1)
            return pickle.loads(kept[key])  # faster than a deep copy

        return load_config

    def keeping_the_sources(self, delegate) -> None:
        # its sources are replaced, never changed
        self.delegate, self.cache = copy(delegate), {}

    with pytest.MonkeyPatch.context() as patch:
        for scheme in ("file", "pkg"):
            source = SourcesRegistry.instance().resolve(scheme)
            patch.setattr(source, "load_config", reading_once(source))
        patch.setattr(CachingConfigRepository, "__init__", keeping_the_sources)
        yield


@pytest.fixture(scope="session", autouse=True)
def groups_composed_once(yamls_read_once) -> Iterator[tuple[Callable, Callable]]:
    """Two thirds of a short command are Hydra's merging of the yamls that its words choose: each choice is
    merged once a session, for as long as the yamls that may be chosen are the same. The other words (a store,
    a number of steps) are set on a copy each time, by Hydra. Yields Hydra's own two functions."""
    own = str(yamls.own_folder())
    listed: dict[tuple, defaults_list.DefaultsList] = {}
    merged: dict[tuple, bytes] = {}
    create = config_loader_impl.create_defaults_list
    compose = ConfigLoaderImpl._compose_config_from_defaults_list

    def places(repo) -> tuple | None:
        """All that a choice may be read from: of folders that tests write, every yaml; none of large ones."""
        found = [(source.scheme(), source.path) for source in repo.get_sources()]
        for scheme, path in tuple(found):
            if scheme == "file" and path.rstrip("/") != own:
                files = list(islice(Path(path).rglob("*"), 50))
                if len(files) == 50:
                    return None
                yamls_there = [file for file in sorted(files) if file.suffix == ".yaml" and file.is_file()]
                found += [(str(file), file.read_bytes()) for file in yamls_there]
        return tuple(found)

    def listed_once(*, repo, config_name, overrides_list, prepend_hydra, skip_missing):
        given = {"repo": repo, "config_name": config_name, "overrides_list": overrides_list}
        given |= {"prepend_hydra": prepend_hydra, "skip_missing": skip_missing}
        if (found := places(repo)) is None:
            return create(**given)
        read = defaults_list.Overrides(repo=repo, overrides_list=overrides_list)
        chosen = repr((read.override_choices, read.append_group_defaults, read.deletions))
        key = (found, config_name, prepend_hydra, skip_missing, chosen)
        if key not in listed:
            listed[key] = create(**given)  # raises what is wrong with the choices
        return replace(listed[key], config_overrides=read.config_overrides)

    def merged_once(self, defaults, repo):
        if (found := places(repo)) is None:
            return compose(self, defaults, repo)
        key = (found, *(tuple(vars(default).items()) for default in defaults))
        if key not in merged:
            merged[key] = pickle.dumps(compose(self, defaults, repo), protocol=-1)
        return pickle.loads(merged[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_loader_impl, "create_defaults_list", listed_once)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", merged_once)
        yield create, compose


@pytest.fixture(scope="session", autouse=True)
def libraries_look_once() -> Iterator[None]:
    """A quarter of a tiny run is what libraries look up and never use: Lightning reads the entry points of
    all installed packages for each trainer, torch formats the stack three times for each seed that is set,
    should a device be there one day, and asks the driver a dozen times a run how many devices there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "_raw_device_count_nvml", cache(torch.cuda._raw_device_count_nvml))
        patch.setattr(registry, "entry_points", cache(registry.entry_points))
        for device in (torch.cuda, torch.mtia, torch.xpu):
            patch.setattr(device, "traceback", SimpleNamespace(format_stack=list))
        yield


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the public data files; tests that need it are skipped where there is none."""
    folder = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"TRANSFERSCOPE_DATA_ROOT={folder}: no such folder of data files")
    return Path(folder)
