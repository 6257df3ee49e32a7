"""A domain from its yaml: read, checked as a strategy's is, loaded. Whatever is wrong with it is one line
that names the domain."""

import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transferscope.catalog import yamls
from transferscope.catalog.arguments import check_arguments
from transferscope.data.domain import UNLABELLED, Domain
from transferscope.errors import RequestError, nearest

LOADER = "transferscope.data.image_folders.load"


def load_domain(key: str, name: str, data_root: str, download: bool = False) -> Domain:
    """The domain of conf/domain/NAME.yaml, loaded once a process. The yaml may use ${data_root} and
    ${download}.

    key: what asks for it, "target" or "source". Raises RequestError for a name that no yaml has, a yaml that
    cannot be read, keys that its loader does not take or that are of another type, and whatever the loader
    raises."""
    return _load_domain(key, name, data_root, download, yamls.folders())


@lru_cache(maxsize=32)
def _load_domain(key: str, name: str, data_root: str, download: bool, folders: tuple[Path, ...]) -> Domain:
    path = yamls.find("domain", name)
    if path is None:
        hint = (
            yamls.astray("domain", name)
            or f"no such domain{nearest(name, yamls.names('domain'))} (transferscope list domains)"
        )
        raise RequestError(f"{key}={name}: {hint}")
    try:
        domain = _loaded(path, name, data_root, download)
        _check(domain)
    except RequestError as refusal:
        raise RequestError(f"{key}={name}: {refusal}") from refusal
    return domain


def _loaded(path: Path, name: str, data_root: str, download: bool) -> Any:
    config = OmegaConf.create({"data_root": data_root, "download": download, "domain": yamls.read(path)})
    try:
        arguments = OmegaConf.to_container(config, resolve=True)["domain"]
    except (
        OmegaConfBaseException
    ) as error:  # a variable of the environment that is not set, a key that is not there
        raise RequestError(f"{path}: {_first_line(error)}") from error
    loader = _loader(path, arguments.get("_target_"))
    if "name" in arguments:
        raise RequestError(
            f"{path}: name={arguments['name']}: the name of the file is its name; leave the key out"
        )
    try:
        check_arguments("", loader, arguments, given={"name"})
    except RequestError as refusal:
        raise RequestError(f"{path}: {refusal}") from refusal
    try:
        return instantiate(arguments, name=name, _convert_="all")
    except Exception as error:
        # Hydra wraps what the loader raised
        cause = error.__cause__ or error if isinstance(error, InstantiationException) else error
        if isinstance(cause, RequestError):
            raise cause from error
        *_, last = traceback.extract_tb(cause.__traceback__)
        where = f"{last.filename}, line {last.lineno}"
        raise RequestError(
            f"{arguments['_target_']} raised {type(cause).__name__}: {_first_line(cause)} ({where})"
        ) from error


def _loader(path: Path, target: object) -> Any:
    if not isinstance(target, str):
        raise RequestError(f"{path}: _target_={target}: a loader is needed, such as {LOADER}")
    try:
        loader = get_object(target)
    except Exception as error:  # Hydra says with several types that an import failed
        why = _first_line(error.__cause__ or error)
        raise RequestError(
            f"{path}: _target_={target}: cannot be imported ({why}); for a file of the current folder: "
            "export PYTHONPATH=."
        ) from error
    if not callable(loader):
        raise RequestError(
            f"{path}: _target_={target}: a function that returns a Domain is needed, such as {LOADER}"
        )
    return loader


def _check(domain: object) -> None:
    """What is relied on of a domain, where a loader of a user's own did not go through `Domain.build`."""
    if not isinstance(domain, Domain):
        raise RequestError(
            f"its loader returned {type(domain).__name__}, not a transferscope.data.domain.Domain"
        )
    lengths = {key: len(getattr(domain, key)) for key in ("inputs", "labels", "ids", "split")}
    if len(set(lengths.values())) > 1:
        raise RequestError(
            "one of each is needed for every item, there are "
            f"{', '.join(f'{n} {key}' for key, n in lengths.items())}"
        )
    if domain.quantities:
        shape = (len(domain), len(domain.quantities))
        if domain.labels.dtype != torch.float32 or tuple(domain.labels.shape) != shape:
            raise RequestError(
                f"numbers to be predicted must be float32 {list(shape)}, not "
                f"{str(domain.labels.dtype).removeprefix('torch.')} {list(domain.labels.shape)}"
            )
        return
    if domain.tags:
        labels, shape = domain.labels, (len(domain), len(domain.tags))
        is_told = (labels == 0) | (labels == 1) | labels.isnan()
        if labels.dtype != torch.float32 or tuple(labels.shape) != shape or not is_told.all():
            raise RequestError(f"several labels an item must be float32 {list(shape)} of 1, 0 and nan")
        return
    if (
        domain.labels.dtype != torch.int64
        or len(domain)
        and not UNLABELLED <= domain.labels.min() <= domain.labels.max() < len(domain.classes)
    ):
        raise RequestError(
            f"labels must be int64 from 0 to {len(domain.classes) - 1}, or {UNLABELLED} for none"
        )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
