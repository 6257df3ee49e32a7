"""The command lines of the verbs: a wrong one is Refused in one line, as every wrong request is."""

import argparse

from transferscope.errors import Refused


class Parser(argparse.ArgumentParser):
    """Options of one verb; `--help` is the verb's own text (main.py)."""

    def __init__(self, verb: str):
        super().__init__(add_help=False, allow_abbrev=False)
        self.verb = verb

    def error(self, message: str) -> None:
        raise Refused(f"{self.verb}: {message} (transferscope {self.verb} --help)")
