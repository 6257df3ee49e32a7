"""transferscope predict: predict what has no labels with the model a run kept."""

import csv
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from transferscope.catalog import yamls
from transferscope.cli.parser import Parser
from transferscope.errors import RequestError
from transferscope.store import record
from transferscope.store.printable import printable

if TYPE_CHECKING:
    import numpy as np

    from transferscope.training.load import LoadedRun

CHUNK = 512  # pictures in memory at a time
HELP = """
usage: transferscope predict RUN FOLDER [-o predictions.csv] [--config-dir DIR]

Predict a folder of pictures, or texts, with the model that a run kept
(`transferscope run ... keep=selected`). One line of CSV an item: the file, the
predicted class, the probability of each class; where numbers are predicted,
these; where an item may have several labels, the probability of each. Items are
prepared as the training's were; folders inside folders count, hidden files do
not; what is left out is told.

  RUN               a run's folder, such as runs/3d32d5b5d9025a77
  FOLDER            a folder of pictures, or one picture; where the run's target
                    is arrays, a .npz, .mat or .csv file [items, features]: key
                    and scale as in the target's yaml, a .csv file of numbers
                    alone, without header and label; where it is a table with
                    categories or missing values, a table of the same columns,
                    with or without the label; where it is texts, a .csv, .tsv,
                    or .jsonl file with the columns of the target's yaml, with or
                    without the label, a folder of .txt files, or one of them
  -o FILE           where the predictions go (default: standard output)
  --config-dir DIR  a folder with config groups of your own, where the run's strategy,
                    backbone or target comes from there
"""


def main(argv: list[str]) -> int:
    parser = Parser("predict")
    parser.add_argument("run", metavar="RUN", type=lambda text: Path(text).resolve())
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--config-dir", type=Path)
    if argv and (argv[0] == "--pairs" or re.match(r"[\w.+~]+=", argv[0]) and not Path(argv[0]).exists()):
        raise RequestError(
            f"predict {argv[0]}: what ranks sources before training is `transferscope rank` now"
        )
    arguments = parser.parse_args(argv)
    if not (arguments.run / "record.json").is_file():
        raise RequestError(
            f"{arguments.run}: no run's folder; give one that holds a record.json, such as runs/FINGERPRINT"
        )
    entry = record.read_record(arguments.run)
    if not (arguments.run / "model.safetensors").is_file():
        why = f" (it is {entry['status']}: {entry['reason']})" if entry["reason"] else ""
        raise RequestError(f"{arguments.run}: this run kept no model{why}; run it again with keep=selected")
    if not arguments.folder.exists():
        raise RequestError(f"{arguments.folder}: no such file or folder")

    from transferscope.training.load import load_run

    loaded = load_run(arguments.run, arguments.config_dir)
    predict = _texts if loaded.texts else _pictures if len(loaded.input_shape) == 3 else _rows
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *_headings(loaded)])
    items = 0
    for name, predicted in predict(loaded, arguments.folder, arguments.config_dir):
        named = [loaded.classes[predicted.argmax()]] if loaded.classes else []
        writer.writerow([name, *named, *map(str, predicted)])
        items += 1
    if arguments.output is None:
        sys.stdout.write(text.getvalue())
    else:
        record.write_atomically(arguments.output, text.getvalue())
        print(f"{arguments.output}: {items} predictions")
    return 0


def _headings(loaded: Any) -> list[str]:
    told = loaded.record["result"].get("task")
    if told and "labels" in told:
        return [f"probability/{printable(name)}" for name in told["labels"]]
    if told:
        return [printable(name) for name in told["quantities"]]
    return ["predicted", *(f"probability/{name}" for name in loaded.classes)]


def _pictures(loaded, folder: Path, config_dir: Path | None) -> Iterator[tuple]:
    """(path below the folder, float32 [C]) of every picture."""
    from transferscope.data.decoding import DEEPEST
    from transferscope.data.picture_files import printable_name
    from transferscope.data.unlabelled import find_pictures, read_pictures, white_of_files

    files = find_pictures(folder)
    own_shape = loaded.record["result"].get("own_shape", loaded.input_shape)
    # runs of before had that one
    white = white_of_files(files, loaded.record["result"].get("own_white", DEEPEST))
    for start in range(0, len(files), CHUNK):
        part = files[start : start + CHUNK]
        probabilities = loaded.predict(read_pictures(part, own_shape, loaded.input_shape, white)).numpy()
        names = [
            printable_name(file.name if file == folder else file.relative_to(folder).as_posix())
            for file in part
        ]
        yield from zip(names, probabilities, strict=True)


def _rows(loaded, file: Path, config_dir: Path | None) -> Iterator[tuple]:
    """(FILE-00042, float32 [C]) of every row."""
    from transferscope.data.picture_files import printable_name
    from transferscope.data.unlabelled import read_array, read_table

    loader = _loader(loaded, config_dir)
    columns = loaded.record["result"].get("columns")
    inputs = (
        read_array(file, loader, loaded.input_shape[0])
        if columns is None
        else read_table(file, loader, columns)
    )
    probabilities = loaded.predict(inputs).numpy()
    yield from (
        (f"{printable_name(file.stem)}-{row:05d}", of_row) for row, of_row in enumerate(probabilities)
    )


def _texts(loaded: "LoadedRun", file: Path, config_dir: Path | None) -> Iterator[tuple[str, "np.ndarray"]]:
    """(FILE-00042 or the path below a folder, float32 [C]) of every item."""
    from transferscope.data.text_files import read_unlabelled

    names, items = read_unlabelled(file, _loader(loaded, config_dir), loaded.texts)
    yield from zip(names, loaded.predict(items).numpy(), strict=True)


def _loader(loaded: "LoadedRun", config_dir: Path | None) -> dict[str, Any]:
    """The yaml of a run's target."""
    from omegaconf import OmegaConf

    what = "texts" if loaded.texts else "arrays"
    target = loaded.record["cell"]["target"]
    folders = [*yamls.folders(), *([config_dir] if config_dir else [])]
    yaml = next(
        (path for folder in folders for path in (folder / "domain").glob("*.yaml") if path.stem == target),
        None,
    )
    if yaml is None:
        raise RequestError(
            f"target={target}: its yaml, which says how to read {what}, is in "
            "no config group; give --config-dir DIR that holds it"
        )
    return cast(dict[str, Any], OmegaConf.to_container(yamls.read(yaml)))
