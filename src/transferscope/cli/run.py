"""transferscope run: the shell of Hydra around run.py."""

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from transferscope.catalog import yamls
from transferscope.cli.hydra_errors import in_one_line
from transferscope.errors import JobFailed, RequestError
from transferscope.training import paths

if TYPE_CHECKING:
    from transferscope.sweeps.job import Job

HELP = """
usage: transferscope run key=value ... [-m] [--until-decided | --search | --settle] [--dry-run]

Train one run, or with -m (--multirun) one for every combination of the values given. A finished run is not
run again, a killed one is taken up where it stood.

  transferscope run target=handwritten_digits source=printed_digits strategy=fine_tuning label_budget=10
  transferscope run -m target=handwritten_digits source=printed_digits label_budget=2,10 'seed=range(0,5)' \\
                       strategy=scratch,fine_tuning,dann
  transferscope run experiment=demo

choices (`transferscope list ...`):
  target=, source= (null, one, or [a,b]), strategy=, backbone=, trainer=, tracking=, experiment=

keys:
  label_budget=10          labelled target items a class, validation included; 0 or full
  initialisation=auto      auto | random | pretrained (the backbone's weights)
                           | source (a model trained on the source)
                           | rotation, simclr (pre-trained on the source's pictures without their labels)
                           | mlm (pre-trained on texts of source and target without their labels)
  protocol=inductive       inductive | transductive (the test items are seen in training, without labels)
  source_label_noise=0.0   share of source labels permuted; 1 is the shuffled-source control
  image_size=null          pixels; null = the target's own
  channels=null            null = the target's own
  seed=0                   subset, initialisation, batches
  split_seed=0             train/test splits
  fold=null                small targets: 'fold=range(0,5)' with -m tests every labelled item in one fold of
                           each seed; folds=null: 5
  test_also=[]             further domains whose test items the same trained model is scored on, for
                           compare --tested-on DOMAIN
  copies=keep              keep | drop_train: leave out training items, of target and source, that are
                           bit-equal copies of test items
  twin=false               true: the A/A twin, same labels with another initialisation and other batches
  keep=none                none | selected: keep a model
  outputs=null             all | last | none: of which evaluations the outputs stay in the store, of the
                           others their scores do; null: all up to 64 MB, else last, which is the last one
                           and the one that selection takes
  selection=last           the evaluation whose model is kept:
                           last | source_val | target_val | a validator (snd, ...)
  keep_features=false      true: store features, for `compare --selection dev` and `iwcv`
  reverse_validation=false true: train backwards as well, for a value to choose hyper-parameters by
  store=runs               where records go
  data_root=data           where data files are
  trainer.steps=300        optimiser steps; trainer.optimizer.lr, trainer.batch_size, trainer.evaluations, ...
  trainer.augmentation=none
                           crop, affine (digits, too) | crop_flip, crop_flip_color (photographs)
                           | delete, swap, neighbours (words of texts)
  trainer.label_smoothing=0.0
                           share of each given label that is spread over all classes
  trainer.patience=null    with selection=RULE: evaluations without improvement by it after which a training
                           ends
  strategy.KEY, backbone.KEY
                           what the yaml of that choice holds
  +notes.KEY=VALUE         a note: kept in the record, read by nothing; a finished run keeps those it was made
                           with. Any other key that nothing reads is refused

flags:
  -m, --multirun           a sweep; values separated by commas, 'seed=range(0,5)'
  --until-decided          with -m: each cell and its baseline get seeds until the cell is decided, at looks
                           of 5, 7 and 10 seeds; leave seed out. Keys: 'until_decided.looks=[5,10,20]',
                           until_decided.baseline, .metric, .margin, .alpha
  --search                 with -m: every strategy is tuned with the same number of trials, its best values
                           run on fresh seeds; the space:
                             'trainer.optimizer.lr=tag(log, interval(1e-4, 1e-1))' strategy.KEY=choice(a,b)
                           Keys: search.trials=20, .seeds, .selection, .sampler, .runs, .baseline
  --settle                 with -m: where training that had not finished keeps a cell from a claim, both of
                           its arms are trained for 2, then 4 times the steps, and compare takes the longest
                           pair. Keys: 'settle.lengths=[2,4]', settle.baseline, .metric, .margin, .alpha
  --dry-run                what would run, what is done, what is refused and why, ETA
  --cfg job                print the composed config
  --config-dir DIR         a folder with config groups of your own (domain/, strategy/, ...); several may be
                           given
  hydra.launcher.n_jobs=4  processes side by side (auto: one a core)
  hydra/launcher=NAME      local, basic, joblib, submitit_local, submitit_slurm
Exit status: 0 done, 1 a run failed, 2 the request was wrong, 130 interrupted.
"""

FLAGS = {
    "--dry-run": "hydra.sweeper.dry_run=true",
    "--until-decided": "hydra.sweeper.until_decided=true",
    "--search": "hydra.sweeper.search=true",
    "--settle": "hydra.sweeper.settle=true",
}
# options of Hydra; a folder's name may hold =
WITH_A_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
SWEEPER = re.compile(r"\+{0,2}hydra/sweeper=")
OUR_SWEEPER = "hydra_plugins.transferscope.sweeper.TransferscopeSweeper"
# of the config, that only this flag reads, and what the flag does
SECTIONS = {
    "--search": ("search.", "finds values"),
    "--until-decided": ("until_decided.", "brings seeds"),
    "--settle": ("settle.", "trains longer"),
}

outcome: list[Path | Exception] = []  # of a single run: its record folder, or why there is none


def task(config) -> float | None:
    """What Hydra calls for each job. A single run's exception takes a way around Hydra, which would print its
    own line on it. Returns what a sweeper of another make is told."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    sweeper = HydraConfig.get().sweeper
    if HydraConfig.get().mode == RunMode.MULTIRUN and sweeper._target_ != OUR_SWEEPER:
        from transferscope.sweeps.other_sweepers import run_for

        folder, score = run_for(config)
        say_finished(folder)
        rule = config.search.selection
        print(
            f"{sweeper._target_.rpartition('.')[2]} is told {score:.6g}, {rule} at the end: higher is better"
        )
        return score
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from transferscope.training.run import run
        from transferscope.training.side_by_side import run_side_by_side

        (run_side_by_side if "beside" in config else run)(config)
        return None
    from transferscope.training.checks import check_hydra

    try:
        for flag, (section, _) in SECTIONS.items():
            if sweeper[section.rstrip(".")]:
                raise RequestError(
                    f"{flag}: a sweep is needed, of a strategy and its baseline at least; add -m"
                )
        check_hydra(HydraConfig.get())
        outcome.append(single(config, dry_run=sweeper.dry_run))
    except Exception as error:
        outcome.append(error)
    return None


def single(config, dry_run: bool) -> Path | None:
    from transferscope.data import copies
    from transferscope.training.finished import is_done
    from transferscope.training.request import resolve
    from transferscope.training.run import run_checked

    request = resolve(config)
    copies.say([request.tested])
    if not dry_run:
        return run_checked(request)
    from transferscope.sweeps.progress import say_plan
    from transferscope.sweeps.sweep import Job

    job = Job([], request)
    say_plan(job.request.store, [job], [] if is_done(job.request) else [job], [])
    return None


def main(argv: list[str]) -> int:
    outcome.clear()
    arguments = [FLAGS.get(word, word) for word in argv]
    for flag, (section, _) in SECTIONS.items():
        keys = [word for word in argv if word.lstrip("+~").startswith(section)]
        if flag == "--search" and any(map(SWEEPER.match, argv)):  # which is told by search.selection
            keys = [word for word in keys if not word.startswith("search.selection=")]
        if flag not in argv and keys:
            raise RequestError(f"{keys[0]}: only {flag} reads it; add the flag or leave the key out")
    if len(given := [f"{flag} {does}" for flag, (_, does) in SECTIONS.items() if flag in argv]) > 1:
        raise RequestError(f"{', '.join(given).replace(' ', ': ', 1)}; give one of them")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through and the one line below is ours
    arguments = one_sweeper(arguments)
    overrides, flags = [], []
    for before, word in zip(["", *arguments], arguments, strict=False):
        is_override = ("=" in word and not word.startswith("-")) or word.startswith("~")
        (overrides if is_override and before not in WITH_A_VALUE else flags).append(word)
    if "--hydra-help" in flags:  # which knows nothing of a run
        flags, overrides = ["--hydra-help"], []
    flags, more = one_config_dir(flags)
    # Hydra's parser takes no flag between two overrides
    sys.argv = ["transferscope", *flags, *paths.for_hydra([*overrides, *more])]
    import hydra
    from hydra._internal.utils import get_args_parser

    try:
        parser = get_args_parser()
        parser.error = refuse_flags  # where Hydra would print its own usage
        own = [Path(folder)] if (folder := parser.parse_args(sys.argv[1:]).config_dir) else []
        with in_one_line(overrides, *own):
            hydra.main(
                version_base="1.3", config_path=str(yamls.own_folder().resolve()), config_name="config"
            )(task)()
    except JobFailed as error:  # a sweeper of another make has given up
        print(f"transferscope: {error}", file=sys.stderr)
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
    match outcome:
        case [Exception() as error]:
            with in_one_line(overrides):
                raise error
        case [Path() as folder]:
            return say_finished(folder)
    return 0


def one_config_dir(flags: list[str]) -> tuple[list[str], list[str]]:
    """The flags with the first --config-dir, which is all that Hydra takes, and the override that has it
    search the others."""
    left, folders = [], []
    words = iter(flags)
    for word in words:
        name, sign, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            folders.append(value if sign else next(words, ""))
        else:
            left.append(word)
    if not folders:
        return left, []
    first, *others = map(yamls.config_folder, folders)
    more = ",".join(paths.quoted(f"file://{folder.resolve()}") for folder in others)
    return [*left, "--config-dir", str(first)], [f"hydra.searchpath=[{more}]"] if others else []


def one_sweeper(arguments: list[str]) -> list[str]:
    """The arguments less the name of Hydra's basic sweeper, which ours is with checks, a plan and a display.
    Raises RequestError for a flag that only ours has beside a sweeper of another make."""
    named = [word for word in arguments if SWEEPER.match(word)]
    other = next((word for word in named if word.partition("=")[2] not in ("basic", "transferscope")), None)
    flag = next((flag for flag, key in FLAGS.items() if key in arguments), None)
    if other and flag:
        raise RequestError(f"{flag}: {other} knows nothing of it; leave one of them out")
    return [word for word in arguments if word not in named or word == other]


def planned(overrides: list[str]) -> "list[Job]":
    """The distinct jobs of the sweep that these overrides ask for, checked; nothing is trained."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with (
        in_one_line(overrides), initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # fmt: skip
        return GlobalHydra.instance().hydra.multirun(
            "config", task, [*paths.for_hydra(overrides), FLAGS["--dry-run"]]
        )


def refuse_flags(message: str) -> None:
    raise RequestError(f"run: {message} (transferscope run --help)")


def say_finished(folder: Path) -> int:
    """What became of a single run; exit status 1 where it failed."""
    from transferscope.store import record
    from transferscope.sweeps.progress import label
    from transferscope.tasks import metrics

    entry = record.read_record(folder)
    headline = metrics.headline_of(entry["result"])
    value = entry["result"].get("metrics", {}).get(f"{entry['cell']['target']}/test/{headline.name}")
    score = "" if value is None else f", test {headline.name} {value:.3f}"
    if (reverse_value := record.read_reverse_validation(folder)) is not None:
        score += f", reverse validation {reverse_value:.3f}"
    why = f" ({entry['reason']})" if entry["reason"] else ""
    print(f"{entry['status']}: {label(entry['cell'], entry['seed'])}{score}{why}\n{folder}")
    return int(entry["status"] not in record.ANSWERS)


def complete(argv: list[str], commands: list[str]) -> int:
    """Hydra's completion calls the program without its command: `-sc query=bash` with COMP_LINE. Take the
    command out and let Hydra answer."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
        print(
            "\n".join(
                command for command in commands if command.startswith(words[1] if len(words) == 2 else "")
            )
        )
        return 0
    if words[1] != "run":
        return 0
    os.environ["COMP_LINE"] = line.replace(" run", "", 1)
    os.environ["COMP_POINT"] = str(max(0, int(os.environ.get("COMP_POINT", len(line))) - len(" run")))
    current = "" if line.endswith(" ") else words[-1]
    key, sign, value = current.partition("=")
    if sign and key in ("source", "target"):  # plain keys to Hydra; their values are the domains
        print("\n".join(f"{key}={name}" for name in yamls.names("domain") if name.startswith(value)))
        return 0
    return main(argv)
