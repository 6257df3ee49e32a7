"""The options of a command: a wrong one is refused in one line, as every wrong request is."""

import argparse

from transferscope.errors import RequestError


class Parser(argparse.ArgumentParser):
    """Options of one command; `--help` prints the command's own text (main.py)."""

    def __init__(self, command: str):
        super().__init__(add_help=False, allow_abbrev=False)
        self.command = command

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
        raise RequestError(f"{self.command}: {message} (transferscope {self.command} --help)")
