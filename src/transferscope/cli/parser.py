"""The options of a command: a wrong one is refused in one line, as every wrong request is."""

import argparse
from typing import Any

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
        self.add_argument("--metric")
        self.add_argument("--selection", default="last")
        self.add_argument("--margin")
        self.add_argument("--alpha", type=float, default=0.05)
        self.add_argument("--items", default="random")
        self.add_argument("--correction", default="holm")
        self.add_argument("--protocol")
        self.add_argument("--tested-on")
        self.add_argument("--config-dir")

    def comparison_options(self, argv: list[str]) -> dict[str, Any]:
        """What `add_comparison` and the command ask for, once the user's own parts are there."""
        options = vars(self.parse_args(argv))
        if (folder := options.pop("config_dir")) is not None:
            from transferscope.training.own_parts import register_own_parts

            register_own_parts(folder)
        return options

    def error(self, message: str) -> None:
        raise RequestError(f"{self.command}: {message} (transferscope {self.command} --help)")
