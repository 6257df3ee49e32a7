"""evaluations.npz of a run: the items that were evaluated, and of each evaluation its outputs, or the scores
that were made of them before they were dropped.

Of each evaluated set, {items} being {domain}/{split}:

    {items}/ids [n] str            {items}/targets [n, ...]        {items}/metadata/COLUMN [n]
    {items}/classes [C] str, where targets int [n] are indices of classes     {items}/groups [n], where items
                                                                              belong together
    {items}/errors/KEY, of predicted numbers: what their errors are told in (`tasks.metrics.Errors`)
    {items}/range/KEY, of scores that were made elsewhere, which stand in place of outputs [n, 1]
    {items}/outputs/STEP [n, ...] float32, or of an evaluation whose outputs were dropped
    {items}/scores/METRIC/STEP [n] float64 of every metric of ours, nan where the outputs were not finite, and
    {items}/fewest_named/STEP, an int: of classes, `influence.fewest_named` of the outputs

That is schema 2. In schema 1 targets were `labels`, outputs `probabilities`, and none was dropped. Imports no
torch."""

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

NAME = "evaluations.npz"
_SCHEMA_1 = re.compile(r"(.+/(?:test|val))/(?:(labels)|probabilities(/\d+))", re.DOTALL)
_OUTPUTS = re.compile(r"(.+?)/outputs/(\d{1,15})", re.DOTALL)
_SCORES = re.compile(r"(.+?)/scores/([^/]+)/(\d{1,15})", re.DOTALL)
# what may be in the file: {items}, then one of these
MEMBER = re.compile(
    r"(.+?/.+?)/(ids|targets|classes|groups|errors/\w+|range/\w+|metadata/.+|outputs/\d+|scores/[^/]+/\d+|fewest_named/\d+)",
    re.DOTALL,
)


def current_name(name: str) -> str:
    """The name in schema 2 of a member of either schema."""
    found = _SCHEMA_1.fullmatch(name)
    if found is None or "/metadata/" in name:
        return name
    items, labels, step = found.groups()
    return f"{items}/targets" if labels else f"{items}/outputs{step}"


class Evaluations(Mapping[str, np.ndarray]):
    """The members of a file of either schema by their names in schema 2, each read when it is asked for.

    `with Evaluations(path) as evaluations:` closes the file. Raises what numpy raises of a file that is
    missing or damaged: OSError, ValueError, zipfile.BadZipFile and others."""

    def __init__(self, path: Path):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("no archive")
        self._archive = archive
        self._stored = {current_name(name): name for name in archive.files}
        self._outputs: dict[str, dict[int, str]] = defaultdict(dict)
        self._scores: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        for name in self._stored:
            if "/metadata/" in name:
                continue
            if found := _OUTPUTS.fullmatch(name):
                self._outputs[found[1]][int(found[2])] = name
            elif found := _SCORES.fullmatch(name):
                self._scores[found[1]][int(found[3])][found[2]] = name

    def __enter__(self) -> "Evaluations":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def __getitem__(self, name: str) -> np.ndarray:
        found: np.ndarray = self._archive[self._stored[name]]
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def steps(self, items: str) -> list[int]:
        """The steps at which these items were evaluated."""
        return sorted(self._outputs[items].keys() | self._scores[items].keys())

    def outputs(self, items: str, step: int) -> np.ndarray | None:
        """[n, ...], or None where they were dropped. Raises KeyError for a step without an evaluation."""
        name = self._outputs[items].get(step)
        if name is None and step not in self._scores[items]:
            raise KeyError(f"{items}/outputs/{step:06d}")
        return None if name is None else self[name]

    def scores(self, items: str, step: int, metric: str) -> np.ndarray | None:
        """[n] of an evaluation whose outputs were dropped; None where there is none of this metric."""
        name = self._scores[items][step].get(metric)
        return None if name is None else self[name]

    def was_finite(self, items: str, step: int) -> bool:
        """Of an evaluation whose outputs were dropped, whether they were finite."""
        stored = self._scores[items][step]
        return all(bool(np.isfinite(self[name]).all()) for name in list(stored.values())[:1])

    def fewest_named(self, items: str, step: int) -> int:
        """The same of how many items the class has that was named on fewest."""
        return int(self[f"{items}/fewest_named/{step:06d}"])


def write(path: Path, members: Mapping[str, np.ndarray]) -> None:
    """As numpy's savez, but that outputs, which packing makes a seventh smaller in ten times the time, are
    stored as they are, and the rest is packed lightly. Entries have no date: equal members are equal bytes.
    members are asked for one by one, so that they need not be in memory together."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in members:
            entry = f"{name}.npy"
            as_it_is = zipfile.ZipInfo(entry)
            with archive.open(as_it_is if "/outputs/" in name else entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(members[name]), allow_pickle=False)
