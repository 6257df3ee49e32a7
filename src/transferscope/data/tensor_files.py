"""Tensors in safetensors files that are whole or absent, and verified when they are read."""

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def write(path: Path, tensors: dict[str, Tensor], facts: dict[str, str] | None = None) -> None:
    """Leave tensors, and facts about them, in a file that holds their checksum. Several processes may write
    the same file at once."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".draft-{os.getpid()}")
    try:
        save_file(tensors, draft, {**(facts or {}), "checksum": _checksum(tensors, facts or {})})
        os.replace(draft, path)
    except SafetensorError as error:  # of the operating system's
        raise OSError(f"{path}: cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """(tensors, facts), the tensors mapped: processes share their pages, and what is written to them stays
    with the writer.

    None where there is no such file. A damaged one is named on stderr and set aside as NAME.damaged, and
    there is none."""
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError:
        return None
    except SafetensorError:
        tensors, facts = {}, {}
    if facts.pop("checksum", None) == _checksum(tensors, facts):
        return tensors, facts
    quarantine(path)
    return None


def quarantine(path: Path) -> None:
    """Name a damaged file on stderr, and keep it as NAME.damaged."""
    damaged = path.with_suffix(".damaged")
    print(f"{path}: damaged; set aside as {damaged.name} and made again", file=sys.stderr)
    with contextlib.suppress(FileNotFoundError):  # another process was quicker
        path.replace(damaged)


def _checksum(tensors: dict[str, Tensor], facts: dict[str, str]) -> str:
    h = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        add_tensor(h, name, tensors[name])
    return h.hexdigest()


def add_tensor(h: hashlib.blake2b, name: str, tensor: Tensor) -> None:
    """A tensor's name, type, shape and bytes."""
    h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
    h.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
