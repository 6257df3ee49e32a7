"""A run as a user starts it, from this process: composed by Hydra, trained, recorded, tracked offline."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from transferscope.catalog import yamls


@contextmanager
def scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="transferscope-bench-") as folder:
        yield Path(folder)


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
        return compose("config", overrides=list(overrides))
