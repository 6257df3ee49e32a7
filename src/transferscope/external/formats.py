"""By which names files of results are known. Imports nothing that takes time."""

from pathlib import Path

JSON_LINES = (".jsonl", ".ndjson", ".json")
PROJECT = "wandb:"  # of a project of Weights & Biases
SUFFIXES = (".csv", ".tsv", *JSON_LINES, ".parquet")  # all but the last also packed, .csv.gz


def suffix_of(path: Path) -> str | None:
    """None of a file that is not one of results by its name."""
    return next((end for end in SUFFIXES if path.name.lower().removesuffix(".gz").endswith(end)), None)
