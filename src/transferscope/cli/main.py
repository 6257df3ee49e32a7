"""The console command: `transferscope COMMAND ...`. Each command is a file beside this one, which imports
what it needs when called."""

import importlib
import os
import sys

from transferscope.cli import terminal
from transferscope.errors import RequestError, nearest
from transferscope.store.printable import printable
from transferscope.training import paths

COMMANDS = {
    "run": "train one run, or with -m a sweep of them; Hydra's grammar",
    "plan": "before the first run: the smallest effect found, the runs and test items that an effect needs",
    "compare": "verdicts from the records, or from a file of predictions: does transfer help or hurt",
    "import": "results made elsewhere become records of a store",
    "report": "one self-contained page of verdicts and figures",
    "status": "what is done, running, failed, missing",
    "rank": "before any training on the target: distances, label shift, transferability of each source",
    "reproduce": "an experiment's runs beside the published numbers",
    "calibrate": "the study that shows the verdict's error rates",
    "predict": "what the model that a run kept says of a folder",
    "list": "strategies, domains, backbones, experiments, distances, validators that exist",
    "doctor": "versions, devices, data found, W&B mode; how to get what is missing",
    "prune": "what in store and cache nothing refers to",
    "demo": "the first minutes: a sweep, its verdicts, its report, on data that ships with the dependencies",
}
MODULES = {"import": "import_results"}  # of commands that Python has a word for
# before anything is seen of them they import for seconds
LONG = ("run", "rank", "reproduce", "calibrate", "predict", "demo")
USAGE = "usage: transferscope COMMAND [...]\n\n" + "".join(
    f"  {command:<9} {what}\n" for command, what in COMMANDS.items()
)
USAGE += (
    '\n`transferscope COMMAND --help` explains each. Tab completion: eval "$(transferscope run -sc '
    'install=bash)"'
)


def main(argv: list[str] | None = None) -> int:
    """0 done, 1 a run failed, 2 the request was wrong, 3 `compare --fail-on` found what it was told to fail
    on, 130 interrupted; a sweep that is told to end (SIGTERM) 143."""
    argv = sys.argv[1:] if argv is None else argv
    terminal.write_any_text()
    terminal.quiet_libraries()
    try:
        status = dispatch(argv if "-sc" in argv else paths.words(argv))
        sys.stdout.flush()  # a pipe without a reader is met here and not when Python ends
        return status
    except RequestError as refusal:
        return refuse(str(refusal))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone: `transferscope list ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"{' '.join(['transferscope', *argv[:1]])}: {error.strerror or error}{where}", file=sys.stderr)
        return 1


def dispatch(argv: list[str]) -> int:
    if any(word.startswith("query=") for word in argv) and "-sc" in argv:
        from transferscope.cli.run import complete

        return complete(argv, list(COMMANDS))
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if argv else 2
    command, *rest = argv
    if command == "--version":
        from transferscope import __version__

        print(__version__)
        return 0
    if command == "apply":
        command = "predict"
        print("transferscope apply is called `transferscope predict` now", file=sys.stderr)
    if command not in COMMANDS:
        raise RequestError(f"{command}: no such command{nearest(command, COMMANDS)} ({', '.join(COMMANDS)})")
    if command in LONG and sys.stderr.isatty() and not {"-h", "--help"} & set(rest):
        print(f"transferscope {command}: loading …", file=sys.stderr, flush=True)
    module = importlib.import_module(f"transferscope.cli.{MODULES.get(command, command)}")
    if any(word in ("-h", "--help") for word in rest):
        print(module.HELP.strip())
        return 0
    return module.main(rest)


def refuse(message: str) -> int:
    print(f"transferscope: {printable(message)}", file=sys.stderr)
    return 2
