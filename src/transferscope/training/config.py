"""What a run is asked for: the composed config as typed values, each checked for itself."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, SkipValidation, ValidationError
from pydantic_core import CoreSchema, core_schema

from transferscope import validators
from transferscope.data.augmentation import AUGMENTATIONS
from transferscope.data.splits import Fold
from transferscope.errors import RequestError, nearest
from transferscope.strategies.mlm import MaskedLanguageModel
from transferscope.strategies.rotation import Rotation
from transferscope.strategies.simclr import SimCLR
from transferscope.tasks.classification import Classification
from transferscope.tasks.multi_label import MultiLabel
from transferscope.tasks.regression import Regression
from transferscope.training.settings import Precision
from transferscope.training.text_augmentation import OF_TEXTS

# initialisations that a backbone learns from the source's inputs alone
PRETRAINING: dict[str, type[Rotation] | type[SimCLR] | type[MaskedLanguageModel]] = {
    "rotation": Rotation,
    "simclr": SimCLR,
    "mlm": MaskedLanguageModel,
}
SCHEDULES = ("cosine", "constant")
LOSSES = (*Classification.losses, *Regression.losses, *MultiLabel.losses)
FOLDS = 5  # where `folds` is null


@dataclass(frozen=True)
class Names:
    """What a value may be called; another is refused by naming them."""

    allowed: tuple[str, ...]

    def refusal(self, value: object) -> str:
        return f"not one of {', '.join(self.allowed)}{nearest(value, self.allowed)}"


class OneOf(Names):
    """A value that is one of a few names and nothing else."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.allowed))


@dataclass(frozen=True)
class Wanted:
    """What a value is to be, for the line that refuses another."""

    text: str

    def refusal(self, value: object) -> str:
        return f"{self.text} is needed"


Flag = Annotated[bool, Wanted("true or false")]
AtLeastZero = Annotated[int, Field(ge=0), Wanted("an integer of at least 0")]
AtLeastOne = Annotated[int, Field(ge=1), Wanted("an integer of at least 1")]
AtLeastOneOrNull = Annotated[Annotated[int, Field(ge=1)] | None, Wanted("an integer of at least 1 or null")]
Folder = Annotated[str, Field(min_length=1), Wanted("a folder")]
Keys = SkipValidation[dict[str, Any]]  # checked against what their `_target_` takes, or where they are used


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class TrainerConfig(Section):
    """conf/trainer"""

    schedule: Annotated[
        Annotated[str, OneOf(SCHEDULES)] | dict[str, Any], Names((*SCHEDULES, "a schedule's _target_"))
    ]
    augmentation: Annotated[
        Annotated[str, OneOf((*AUGMENTATIONS, *OF_TEXTS))] | dict[str, Any],
        Names((*AUGMENTATIONS, *OF_TEXTS, "a transform's _target_")),
    ]
    accelerator: Annotated[str, OneOf(("auto", "cpu", "gpu"))]
    precision: Annotated[Precision, OneOf(("32-true", "bf16-mixed", "16-mixed"))]
    steps: AtLeastOne
    source_steps: AtLeastOne
    batch_size: Annotated[int, Field(ge=2), Wanted("an integer of at least 2")]
    evaluations: AtLeastOne
    threads: AtLeastOne
    optimizer: Keys
    gradient_clip_val: Annotated[
        Annotated[int | float, Field(gt=0)] | None, Wanted("a number above 0 or null")
    ]
    accumulate_grad_batches: AtLeastOne
    l1_penalty: Annotated[int | float, Field(ge=0, allow_inf_nan=False), Wanted("a number of at least 0")]
    class_weights: Annotated[str, OneOf(("none", "balanced"))]
    sampler: Annotated[str, OneOf(("shuffle", "balanced"))]
    lr_range_test: Annotated[
        Annotated[int, Field(ge=10)] | None, Wanted("an integer of at least 10, its steps, or null")
    ]
    devices: AtLeastOne
    callbacks: Annotated[list[Any], Wanted("a list of _target_s")]
    loggers: Annotated[list[Any], Wanted("a list of _target_s")]
    loss: Annotated[str, OneOf(("auto", *LOSSES))]
    label_smoothing: Annotated[int | float, Field(ge=0, lt=1), Wanted("a number of at least 0 and below 1")]
    patience: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Wanted("evaluations without improvement, an integer of at least 1, or null"),
    ]


class TrackingConfig(Section):
    """conf/tracking; names are W&B's to refuse."""

    mode: Annotated[str, OneOf(("offline", "online", "off"))]
    project: Any
    entity: Any
    group: Any
    tags: Any
    artifacts: Flag
    system_metrics: Flag


class RunConfig(Section):
    """The whole config of one run: conf/config.yaml, which says what the keys mean, and its groups."""

    initialisation: Annotated[str, OneOf(("auto", "random", "pretrained", "source", *PRETRAINING))]
    protocol: Annotated[str, OneOf(("inductive", "transductive"))]
    role: Annotated[str, OneOf(("run", "trial"))]
    copies: Annotated[str, OneOf(("keep", "drop_train"))]
    keep: Annotated[str, OneOf(("none", "selected"))]
    outputs: Annotated[Literal["all", "last", "none"] | None, Wanted("all, last, none or null")]
    selection: str  # one of `selections`
    strategy: Keys
    backbone: Keys
    trainer: TrainerConfig
    tracking: TrackingConfig
    seed: AtLeastZero
    split_seed: AtLeastZero
    image_size: AtLeastOneOrNull
    channels: AtLeastOneOrNull
    label_budget: Annotated[
        Annotated[int, Field(ge=0)] | Literal["full"],
        Wanted("labelled items a class, an integer of at least 0, or 'full'"),
    ]
    folds: Annotated[Annotated[int, Field(ge=2)] | None, Wanted("an integer of at least 2 or null")]
    fold: int | None  # what is wrong with it goes by `folds`: see checks._check_fold
    download: Flag
    twin: Flag
    keep_features: Flag
    reverse_validation: Flag
    source_label_noise: Annotated[int | float | bool, Field(ge=0, le=1), Wanted("a share between 0 and 1")]
    store: Folder
    data_root: Folder
    target: Annotated[str, Wanted("a domain")]
    source: Annotated[str | list[str] | None, Wanted("a domain, a list [a,b] of domains, or null")]
    test_also: Annotated[list[str], Wanted("a list [a,b] of domains")]
    sweep: Any
    until_decided: Keys = {}
    search: Keys = {}
    settle: Keys = {}
    notes: Keys = {}

    @property
    def sources(self) -> list[str]:
        return [self.source] if isinstance(self.source, str) else self.source or []

    @property
    def in_fold(self) -> Fold | None:
        return None if self.fold is None else Fold(self.fold, self.folds or FOLDS, self.seed)


def selections() -> tuple[str, ...]:
    """What may choose an evaluation while training goes on."""
    return ("last", "source_val", "target_val", *validators.label_free())


# by their names in a config; "" is all of it
SECTIONS: dict[str, type[Section]] = {"": RunConfig, "trainer": TrainerConfig, "tracking": TrackingConfig}


def typed(config: dict[str, Any]) -> RunConfig:
    """The values of a config that has all keys and no others. Raises RequestError for the first that is not
    what its key wants, in one line."""
    try:
        return RunConfig.model_validate(config)
    except ValidationError as error:
        path = [str(part) for part in error.errors()[0]["loc"]]
    key, section, values = path[0], SECTIONS[""], config
    if key in SECTIONS:
        section, values, key = SECTIONS[key], config[key], path[1]
    [wanted] = [one for one in section.model_fields[key].metadata if isinstance(one, Names | Wanted)]
    prefix = f"{path[0]}." if values is not config else ""
    raise RequestError(f"{prefix}{key}={values[key]}: {wanted.refusal(values[key])}")
