"""transferscope doctor: what is here, what is missing, how to mend it."""

import importlib
import os
import platform
import re
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from transferscope.catalog import registry, yamls
from transferscope.errors import RequestError, nearest

KEYS = {"data_root": "data", "store": "runs"}
HELP = """
usage: transferscope doctor [data_root=DIR] [store=DIR]
       transferscope doctor --verify STORE

Versions, devices, Weights & Biases, launchers, the store and the data: what is
ok, what is missing and how to mend it. Every domain is loaded, which takes some
seconds where all files are there. Nothing is downloaded, nothing left behind.

  data_root=data   folder of data files
  store=runs       where records go
  --verify STORE   reads every file of the finished runs of a store and says
                   which are not what was written. A run asked for again looks at
                   sizes and times of change, and reads only where these differ

Exit status: 0 everything that the demo needs is there, or every file is whole,
1 something of it is missing or damaged, 2 the request was wrong.
"""


class Check(NamedTuple):
    """One line. `needed`: the demo does not run without it."""

    ok: bool
    what: str
    detail: str
    needed: bool = False


def main(argv: list[str]) -> int:
    if "--verify" in argv:
        return verify(argv)
    keys = dict(KEYS)
    for word in argv:
        key, sign, value = word.partition("=")
        if not sign or key not in KEYS or not value:
            raise RequestError(
                f"doctor: {word}: only data_root=DIR, store=DIR and --verify STORE are understood"
                f"{nearest(key, KEYS)}"
            )
        keys[key] = value
    sections = {
        "packages": packages,
        "devices": devices,
        "Weights & Biases": tracking,
        "launchers": launchers,
        "store": partial(store, Path(keys["store"])),
        f"domains, data_root={keys['data_root']}": partial(domains, keys["data_root"]),
    }
    lacking = []
    for title, look in sections.items():
        print(title)
        for finding in guarded(look):
            say(finding)
            if finding.needed and not finding.ok:
                lacking.append(finding.what)
    print(
        f"the demo cannot run, it needs: {', '.join(lacking)}"
        if lacking
        else "everything that `transferscope demo` needs is here"
    )
    return int(bool(lacking))


def verify(argv: list[str]) -> int:
    """1 where a file of a finished run is damaged, each named in a line."""
    from transferscope.store.damage import damage
    from transferscope.store.record import run_folders

    if len(argv) != 2 or argv[0] != "--verify" or not Path(argv[1]).is_dir():
        raise RequestError(f"doctor: {' '.join(argv)}: --verify and the folder of a store are needed")
    folders = run_folders(Path(argv[1]))
    wrong = [found for folder in folders if (found := damage(folder, verify=True))]
    for line in wrong:
        print(line)
    print(f"{argv[1]}: {len(wrong)} of {len(folders)} runs are damaged" if wrong else
          f"{argv[1]}: {len(folders)} runs, every file is what was written")  # fmt: skip
    return int(bool(wrong))


def guarded(look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """A package that cannot be imported ends its section, not the doctor."""
    try:
        yield from look()
    except ImportError as error:
        yield Check(False, "the rest", f"cannot be looked at: {first_line(error)}", needed=True)


def say(finding: Check) -> None:
    columns = shutil.get_terminal_size((1000, 40)).columns  # in a pipe a line stays a line
    head = f"  {'ok' if finding.ok else 'missing':<8} {finding.what:<26} "
    unbroken = {"break_on_hyphens": False, "break_long_words": False}
    print(
        textwrap.fill(finding.detail, columns, initial_indent=head, subsequent_indent=" " * 13, **unbroken),
        flush=True,
    )


def packages() -> Iterator[Check]:
    """Every package that this one requires, in a version that it asks for."""
    yield Check(True, "python", platform.python_version(), needed=True)
    for wanted in (Requirement(text) for text in requires("transferscope") or [] if ";" not in text):
        name, install = wanted.name, f"pip install '{wanted}'"
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(False, name, f"not installed: {install}", needed=True)
            continue
        if not wanted.specifier.contains(found.partition("+")[0], prereleases=True):
            detail = f"{found}, but {wanted.specifier} is what was tested: {install}"
            yield Check(False, name, detail, needed=True)
        else:
            yield Check(True, name, found)
    try:
        importlib.import_module("torchvision")
        yield Check(True, "torch with torchvision", "of one release", needed=True)
    except Exception as error:  # with the wrong torch its operators fail to register, in several ways
        remedy = "install the two of one release: pip install --force-reinstall torch torchvision"
        yield Check(False, "torch with torchvision", f"{first_line(error)}; {remedy}", needed=True)


def devices() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check(True, "cpu", f"{cores} cores; a run takes trainer.threads of them, 1 unless told otherwise")
    import torch

    if not torch.cuda.is_available():
        yield Check(True, "gpu", "none found; runs take the CPU")
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        memory = f"{device.total_memory / 2**30:.0f} GiB"
        yield Check(
            True, f"gpu {number}", f"{device.name}, {memory}; runs take it unless trainer.accelerator=cpu"
        )


def tracking() -> Iterator[Check]:
    from transferscope.tracking import effective_mode

    said = os.environ.get("WANDB_MODE")
    why = f"WANDB_MODE={said}" if said else "the default; tracking=online or tracking=off changes it"
    yield Check(True, "mode", f"{effective_mode('offline')} ({why})")
    key = (
        "found"
        if has_api_key()
        else "none, and none is needed but for tracking=online: run `wandb login` or set WANDB_API_KEY"
    )
    yield Check(True, "api key", key)


def has_api_key() -> bool:
    """In the environment, or for W&B's host in the netrc file that `wandb login` writes. It is never
    shown."""
    import netrc
    from urllib.parse import urlsplit

    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    places = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for path in (Path(place).expanduser() for place in places):
        try:
            if path.is_file() and netrc.netrc(path).authenticators(host):
                return True
        except (netrc.NetrcParseError, OSError):
            continue
    return False


def launchers() -> Iterator[Check]:
    yield Check(True, "local", "runs side by side in forked processes, one a core; the default")
    for name, choice, what in (
        ("joblib", "joblib", "runs side by side in processes of their own"),
        (
            "submitit",
            "submitit_slurm",
            f"runs on a Slurm cluster{'' if shutil.which('sbatch') else ' (none here: no sbatch)'}; optional",
        ),
    ):
        package, needed = f"hydra-{name}-launcher", name == "joblib"
        if find_spec("hydra_plugins") and find_spec(f"hydra_plugins.hydra_{name}_launcher"):
            yield Check(True, name, f"{version(package)}, {what}: hydra/launcher={choice}", needed)
        else:
            yield Check(False, name, f"{what}: pip install {package}", needed)


def store(folder: Path) -> Iterator[Check]:
    """A file is written and vanishes, where the store is or would be made."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        yield Check(
            False,
            str(folder),
            f"cannot be written: {error.strerror}; give another folder with store=FOLDER",
            needed=True,
        )
        return
    runs = len(list(folder.glob("[0-9a-f]*/record.json")))
    yield Check(
        True,
        str(folder),
        f"writable, {runs} runs in it" if folder.exists() else "can be made by the first run",
        needed=True,
    )


def domains(data_root: str) -> Iterator[Check]:
    """Every domain is loaded. Those that lack the same loader's files are one line."""
    from transferscope.data.texts import Texts
    from transferscope.training.request import load_domain

    demo = re.findall(r"\w+", (yamls.own_folder() / "experiment" / "demo.yaml").read_text("utf-8"))
    missing: dict[str, list[Check]] = {}
    for name in yamls.names("domain"):
        try:
            domain = load_domain("target", name, data_root)
        except Exception as error:  # a loader of a user's own raises anything
            remedy = (
                ""
                if isinstance(error, RequestError)
                else f" ({type(error).__name__}); mend conf/domain/{name}.yaml or its data"
            )
            finding = Check(
                False, name, first_line(error).removeprefix(f"target={name}: ") + remedy, name in demo
            )
            missing.setdefault(registry.value(yamls.find("domain", name), "_target_"), []).append(finding)
        else:
            shape = "×".join(map(str, domain.inputs.shape[1:]))
            if domain.inputs.dtype == Texts.dtype:
                shape = "text" if shape == "1" else f"{shape} texts"
            what = ", ".join(domain.quantities) or (
                f"{len(domain.tags)} labels" if domain.tags else f"{len(domain.classes)} classes"
            )
            yield Check(True, name, f"{len(domain)} items of {shape}, {what}", name in demo)
    for first, *others in missing.values():
        alike = f"; likewise {', '.join(other.what for other in others)}" if others else ""
        yield Check(
            False, first.what, first.detail + alike, any(finding.needed for finding in (first, *others))
        )


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
