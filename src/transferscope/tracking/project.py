"""A project of W&B, asked through its public API: never a prompt, and one line where it gives nothing."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transferscope.errors import RequestError
from transferscope.store.printable import printable
from transferscope.tracking.place import first_line

if TYPE_CHECKING:
    from wandb import Api

PROJECT = "wandb:"


@dataclass(frozen=True)
class Project:
    """said: as the user has it. path: ENTITY/PROJECT. part: what follows these, None where nothing does."""

    said: str
    path: str
    part: str | None
    api: "Api"

    def absent(self) -> RequestError:
        """Where W&B has no such project."""
        return RequestError(
            f"RUNS={self.said}: {self.path} is no project there, or not one that you may read; "
            f"{PROJECT}ENTITY/PROJECT is needed"
        )


@contextmanager
def asking(runs: str, grammar: str, cache: Path) -> Iterator[Project]:
    """grammar: of `runs`, for what is said. cache: a folder for what W&B keeps of it, gone at the end. Raises
    RequestError, also in place of whatever W&B or the network raise inside."""
    first = runs.removeprefix(PROJECT).split("/")
    if len(first) < 2 or not all(re.fullmatch(r"[\w. -]+", part) for part in first):
        raise RequestError(f"RUNS={runs}: {grammar} is needed")
    try:
        with _quietly(cache):
            yield Project(runs, "/".join(first[:2]), "/".join(first[2:]) or None, _api(runs))
    except RequestError:
        raise
    except Exception as error:  # W&B's errors, those of requests, and of answers that are none
        why = printable(first_line(error))[:200]
        raise RequestError(
            f"RUNS={runs}: W&B did not give its runs: {why}; is the server reachable, and WANDB_BASE_URL "
            "right?"
        ) from error


def _api(runs: str) -> "Api":
    if (mode := os.environ.get("WANDB_MODE", "online")) != "online":
        raise RequestError(
            f"RUNS={runs}: WANDB_MODE={mode} in the environment keeps W&B off the network; unset it, or "
            "compare a folder of offline runs"
        )
    import wandb

    if not wandb.login(prompt=False):
        raise RequestError(
            f"RUNS={runs}: reading from W&B needs an API key: run `wandb login` or set WANDB_API_KEY"
        )
    return wandb.Api()


@contextmanager
def _quietly(cache: Path) -> Iterator[None]:
    """Without W&B's lines on every artifact and its reports on its own use."""
    changes = {
        "WANDB_CACHE_DIR": str(cache / ".wandb"),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        shutil.rmtree(cache / ".wandb", ignore_errors=True)
