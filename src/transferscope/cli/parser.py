"""The command lines of the verbs: a wrong one is Refused in one line, as every wrong request is."""

import argparse

from transferscope.errors import Refused


class Parser(argparse.ArgumentParser):
    """Options of one verb; `--help` is the verb's own text (main.py)."""

    def __init__(self, verb: str):
        super().__init__(add_help=False, allow_abbrev=False)
        self.verb = verb

    def add_comparison(self) -> None:
        """The arguments of `compare(...)`, by their names there."""
        self.add_argument("runs", nargs="?", default="runs")
        self.add_argument("--baseline", default="scratch")
        self.add_argument("--metric", default="accuracy")
        self.add_argument("--selection", default="last")
        self.add_argument("--margin")
        self.add_argument("--alpha", type=float, default=0.05)
        self.add_argument("--items", default="random")
        self.add_argument("--correction", default="holm")
        self.add_argument("--protocol")

    def error(self, message: str) -> None:
        raise Refused(f"{self.verb}: {message} (transferscope {self.verb} --help)")
