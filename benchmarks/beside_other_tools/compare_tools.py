"""transferscope beside skada and the Trainer of transformers on one task: seconds, and the lines that a user
writes. docs/explanation/beside-other-tools.md reads the table.

    python benchmarks/beside_other_tools/compare_tools.py FOLDER [ROUNDS] [--answers]

FOLDER holds office_caltech10_surf; skada, transformers and accelerate are installed beside transferscope.
Each tool is a whole process in an empty folder, imports included, with one thread (OMP_NUM_THREADS=n sets
another number). The four take turns; the least of the rounds (3) counts. --answers prints what each printed
in the first round, too."""

import ast
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = {
    "skada": ["python", "with_skada.py", "FOLDER", "same_items.npz"],
    "ours, features": ["sh", "ours_features.sh", "FOLDER"],
    "Trainer": ["python", "with_trainer.py", "FOLDER", "same_items.npz"],
    "ours, network": ["sh", "ours_network.sh", "FOLDER"],
}
DOMAINS = ["my_conf/domain/amazon.yaml", "my_conf/domain/webcam.yaml"]  # which ours reads
PACKAGES = ("transferscope", "skada", "scikit-learn", "transformers", "accelerate", "torch")


def main(folder: str, rounds: int, answers: bool) -> None:
    environment = {
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    wall, cpu = ({tool: [] for tool in TOOLS} for _ in range(2))
    for number in range(rounds):
        for tool, words in TOOLS.items():
            with tempfile.TemporaryDirectory() as empty:
                shutil.copytree(HERE, empty, dirs_exist_ok=True)
                call(["python", "same_items.py", folder, "same_items.npz"], empty, environment)
                before, began = children(), time.perf_counter()
                said = call([folder if word == "FOLDER" else word for word in words], empty, environment)
                wall[tool].append(time.perf_counter() - began)
                cpu[tool].append(children() - before)
            if answers and number == 0:
                print(f"--- {tool}\n{said}")
    print(f"{'':16}{'seconds':>9}{'range':>16}{'CPU seconds':>13}{'lines':>7}{'statements':>12}")
    for tool, words in TOOLS.items():
        files = [words[1], *(DOMAINS if "ours" in tool else [])]
        lines, statements = (sum(counted) for counted in zip(*map(count, files), strict=True))
        spread = f"{min(wall[tool]):.1f} to {max(wall[tool]):.1f}"
        print(f"{tool:16}{min(wall[tool]):9.1f}{spread:>16}{min(cpu[tool]):13.1f}{lines:7}{statements:12}")
    print(
        f"\n{len(os.sched_getaffinity(0))} cores, {environment['OMP_NUM_THREADS']} thread; "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    )


def call(words: list[str], folder: str, environment: dict[str, str]) -> str:
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def children() -> float:
    """Processor seconds of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def count(file: str) -> tuple[int, int]:
    """(lines, statements) of a file. Lines are those that are neither blank, nor a comment, nor of the
    docstring at the top; a statement is one of Python, a command of a shell, or a key of a yaml, over however
    many lines it is broken."""
    text = (HERE / file).read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not file.endswith(".py"):
        return len(lines), sum(not line.endswith("\\") for line in lines)
    docstring, *_ = (tree := ast.parse(text)).body
    ended = len([line for line in text.splitlines()[: docstring.end_lineno] if line.strip()])
    return len(lines) - ended, sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) - 1


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "--answers"]
    main(str(Path(given[0]).resolve()), int(given[1]) if given[1:] else 3, "--answers" in sys.argv)
