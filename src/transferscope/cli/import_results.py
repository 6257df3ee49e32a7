"""transferscope import: results made elsewhere become records of a store."""

import shlex
import sys
from pathlib import Path

from transferscope.cli.parser import RESULTS, Parser, results_of
from transferscope.errors import RequestError

HELP = f"""Results made elsewhere become records of a store, so that its page, its subgroups, plans and claims
over targets know them.

usage: transferscope import FILE... [--store FOLDER] [--map OUR=THEIRS] [...]

  --store FOLDER     the store that they join (default: runs)
{RESULTS}
Records say that they are imported, from which file, of which hash. They are held against each other and
never against runs of the store's own. A run that the store has already, with the same results, is left as it
is; one with other results is refused, and then nothing is added.
"""


def main(argv: list[str]) -> int:
    parser = Parser("import")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--store", type=Path, default=Path("runs"))
    parser.add_results()
    options = vars(parser.parse_args(argv))
    files, store = options.pop("files"), options.pop("store")
    results = results_of(files, options)
    if results is None:
        raise RequestError("import: files of results are needed (transferscope import --help)")
    new, known = results.join(store)
    had = f"; it had {known} of them already" if known else ""
    print(f"{new} run{'s' * (new != 1)} imported into {store}{had}")
    command = shlex.join(["transferscope", "compare", str(store)])
    print(f"their verdicts: {command} --baseline STRATEGY", file=sys.stderr)
    return 0
