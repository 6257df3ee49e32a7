"""What records, sweep plans, predictions, readings and claims look like. They may come from anywhere: they
are data, checked before they are used.

Each is a dict as JSON has it: a TypedDict for who reads it, which pydantic checks where it comes from disk
(`mismatch`). Nothing is converted, and keys that are not named here may be there."""

from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Discriminator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes the one of typing from Python 3.12 on

Json = dict[str, Any]  # an object of JSON, or a row of a table
Number = Annotated[float, Field(allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^\w+$")]  # it names files
Hex = Annotated[str, Field(pattern="^[0-9a-f]+$")]
Budget = int | Literal["full"] | None
Verdict = Literal["positive", "negative", "equivalent", "undecided"]


class Domain(TypedDict):
    name: str
    digest: Digest


CellKey = Literal["source", "target", "label_budget", "backbone", "initialisation", "strategy", "protocol"]


class Cell(TypedDict):
    source: str | None
    target: str
    label_budget: Budget
    backbone: str
    initialisation: str
    strategy: str
    protocol: str


class Training(TypedDict):
    steps: NotRequired[int]
    source_steps: NotRequired[int]
    schedule: NotRequired[object]


class Inputs(TypedDict):
    target: Domain
    sources: list[Domain]
    trainer: NotRequired[Training]
    task: NotRequired[dict[str, Any]]
    backbone: NotRequired[dict[str, Any]]
    source_label_noise: NotRequired[Number]
    split_seed: NotRequired[int]
    fold: NotRequired[int]
    folds: NotRequired[int]


class Consumed(Inputs):
    seed: NotRequired[int | None]


class Samples(TypedDict):
    source: NotRequired[int]


class Steps(TypedDict):
    target: NotRequired[Number]
    source: NotRequired[Number]


class CopiedItems(TypedDict):
    tested: int
    train: int | None
    sources: dict[str, int | None]


class LabelsTask(TypedDict):
    """Any number of these labels for each item."""

    name: Literal["multi_label"]
    labels: list[str]


class NumbersTask(TypedDict):
    """Numbers. error: the loss that training minimised. center,
    scale: of a head's outputs; spread: what errors are divided by before they are told."""

    name: Literal["regression"]
    quantities: list[str]
    unit: str
    error: str
    spread: list[Number]
    center: list[Number]
    scale: list[Number]


class ScoresTask(TypedDict):
    """Scores of items that were made elsewhere: `score` where they lie between 0 and 1."""

    name: Literal["score", "ranged_score"]


class Center(TypedDict):
    """Of the numbers that a run may learn from."""

    mean: list[Number]
    median: list[Number]


class Result(TypedDict):
    task: NotRequired[
        Annotated[NumbersTask | LabelsTask | ScoresTask, Field(discriminator="name")]
    ]  # else classes
    centers: NotRequired[dict[str, Center]]
    metrics: NotRequired[dict[str, float]]
    by_class: NotRequired[dict[str, dict[str, list[Any]]]]
    samples: NotRequired[Samples]
    class_counts: NotRequired[dict[str, dict[str, int]]]
    steps: NotRequired[Steps]
    evaluations: NotRequired[list[int]]
    flags: NotRequired[list[str]]
    learning_rate: NotRequired[Number]
    input_shape: NotRequired[list[int]]
    own_shape: NotRequired[list[int]]
    texts: NotRequired[dict[str, dict[str, int]]]  # by domain: items, and how many were cut
    own_white: NotRequired[int | None]
    columns: NotRequired[dict[str, list[str]]]
    copies: NotRequired[CopiedItems]


class Config(TypedDict):
    backbone: NotRequired[dict[str, Any]]
    strategy: NotRequired[dict[str, Any]]
    trainer: NotRequired[dict[str, Any]]


class Timings(TypedDict):
    wall_seconds: NotRequired[Number]
    source_seconds: NotRequired[Number]
    fit_seconds: NotRequired[Any]


class SourceModel(TypedDict):
    key: Hex
    made: bool


class Git(TypedDict):
    revision: str | None


class KeptFile(TypedDict):
    """A file as it was written. size: bytes. mtime: time of change in nanoseconds. digest: blake2b of 16
    bytes."""

    size: int
    mtime: int
    digest: Hex


FileName = Annotated[str, Field(pattern=r"^(evaluations\.npz|history\.csv|model\.safetensors|"
                                        r"reverse_validation\.json|features/\d+\.npz)$")]  # fmt: skip


Kept = Literal["all", "last", "none"]


class KeptOutputs(TypedDict):
    """Of which evaluations a run keeps its outputs: all, none, or the last one and the one that `selection`
    takes."""

    kept: Kept
    selection: str | None


class Imported(TypedDict):
    """Where results come from that were made elsewhere. file: as it was named; hash: blake2b of its content;
    tool: what read it. form: of what a row says of an item. left_out: items that only some runs had.
    is_capped_by_test: whether the test items' own truths say which error is the largest that counts."""

    file: str
    hash: Hex
    tool: str
    form: Literal["score", "prediction", "probabilities", "number"]
    left_out: int
    is_capped_by_test: bool


class RunRecord(TypedDict):
    fingerprint: str
    status: str
    reason: str
    cell: Cell
    seed: int
    role: str
    sees: list[str]
    consumed: Consumed
    config: Config
    result: Result
    conditional_on: NotRequired[list[str]]
    timings: Timings
    versions: NotRequired[dict[str, Any]]
    source_model: NotRequired[SourceModel]
    git: NotRequired[Git]
    weights: NotRequired[dict[str, int]]
    deterministic: NotRequired[object]
    calibrated: NotRequired[object]
    subset: NotRequired[object]
    backbone_rate: NotRequired[object]
    device: NotRequired[object]
    test_also: NotRequired[list[Domain]]
    outputs: NotRequired[KeptOutputs]
    imported: NotRequired[Imported]
    files: NotRequired[dict[FileName, KeptFile]]


class Look(TypedDict):
    look: int
    state: str
    verdict: Verdict
    limit: str
    reason: str
    seeds: int
    delta: Number | None
    ci_simultaneous: list[Number] | None
    p_adjusted: Number | None


class Lengthened(TypedDict):
    run: str
    times: int


class Job(TypedDict):
    seed: int
    role: str
    variant: dict[str, Any]
    reason: str
    overrides: str
    lengthens: NotRequired[Lengthened]


class PlannedJob(Job):
    status: Literal["planned"]
    fingerprint: Hex
    cell: Cell


class RuledOutCell(TypedDict, total=False):
    source: str | None
    target: str | None
    label_budget: str | int | None
    backbone: str | None
    initialisation: str | None
    strategy: str | None
    protocol: str | None


class RuledOutJob(Job):
    status: Literal["not_applicable"]
    fingerprint: None
    cell: RuledOutCell


AnyJob = PlannedJob | RuledOutJob


class LookedAt(TypedDict):
    runs: list[str]
    baseline_runs: list[str]
    cell: Cell
    looks: list[Look]
    readings: NotRequired[int]


class Rules(TypedDict):
    baseline: str | Number
    metric: str | Number
    margin: str | Number
    alpha: str | Number


class Sequential(Rules):
    selection: str | Number
    looks: list[int]
    taken: int
    cells: list[LookedAt]


class Settle(Rules):
    lengths: list[int]


class SweepPlan(TypedDict):
    name: str
    created: str
    jobs: list[Annotated[AnyJob, Discriminator("status")]]
    sequential: NotRequired[Sequential]
    settle: NotRequired[Settle]


class Estimate(TypedDict):
    estimate: Number
    lo: Number
    hi: Number


class Predicted(Inputs):
    seed: int


class Prediction(TypedDict):
    kind: str
    created: str
    consumed: Predicted
    values: dict[str, dict[str, Number | None | Estimate]]
    reasons: dict[str, str]
    source_seconds: NotRequired[Number | None]


class Began(TypedDict):
    """Of a log of readings: its beginning."""

    began: str


class Read(TypedDict):
    """A cell that was read."""

    read: Hex
    family: str
    seeds: list[int]
    planned: list[int]
    when: str


class Told(TypedDict):
    """A claim that was told."""

    told: Hex
    verdict: Literal["positive", "negative", "equivalent"]
    metric: str
    selection: str
    margin: str | Number
    alpha: Number
    items: str
    correction: str
    seeds: int
    cells: int
    when: str


class Claim(TypedDict):
    """Who works on a run. cell and seed are looked at by who needs them."""

    host: str
    pid: int
    since: str
    step: int
    steps: int
    cell: NotRequired[object]
    seed: NotRequired[object]
    ended: NotRequired[object]


Reading = Began | Read | Told  # a line of a log of readings


@cache
def _checker(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def mismatch(value: object, shape: object) -> str | None:
    """Where a value is not of a shape of this file, such as `cell.source`; None where it is."""
    try:
        _checker(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return _path(value, first["loc"], first["type"] == "missing")
    return None


def _path(value: Any, parts: tuple[int | str, ...], is_missing: bool) -> str:
    """pydantic's place of an error in words: `jobs[3].cell`. The names of alternatives, which it puts between
    the keys, are left out."""
    path = ""
    for part in parts:
        if isinstance(value, list) and isinstance(part, int):
            path, value = f"{path}[{part}]", value[part]
        elif isinstance(value, dict) and part in value:
            path, value = f"{path}.{part}", value[part]
    return f"{path}.{parts[-1]}".lstrip(".") if is_missing else path.lstrip(".")
