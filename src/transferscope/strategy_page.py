"""docs/strategies.md: every strategy of the shelf, from its yaml, its class and the experiments that hold numbers for it."""

import ast
import csv
from itertools import groupby
from pathlib import Path

from transferscope import conf, shelves

TOP = """\
# The strategies

Written by `make docs` from the yamls in `conf/strategy`, the classes they name, and `experiments/*/published.csv`. E_S: mean over labelled
source items, E_T: over labelled target items, E_U: over unlabelled target items; p(x) are class probabilities, f(x) features, H is the
entropy. *Labels*: whether it needs labelled target items, or works at `label_budget=0` too. *Classes*: whether source and target must have
the same. The keys are those of the yaml: `strategy.KEY=VALUE` sets one. *The labelled target items of `Adaptation`*: papers on unsupervised
adaptation have none; here, with labels in the budget, their cross-entropy is added with weight 1. `ramp`: 2 / (1 + exp(-10 p)) - 1, p the
share of steps done.
"""
STARTS = {"random": "random weights", "weights": "the backbone's own weights", "source": "a model trained on the source"}
WITHOUT = "; with `source=null`, the backbone's own weights"


def page(choices: dict[str, Path]) -> str:
    """The whole page, as Markdown."""
    order = sorted(choices, key=lambda name: shelves.place(choices[name]))
    groups = [(idea, list(names)) for idea, names in groupby(order, lambda name: shelves.idea(choices[name]))]
    contents = "\n".join(f"- {idea}: " + ", ".join(f"[{name}](#{name})" for name in names) for idea, names in groups)
    sections = (f"## {idea[0].upper()}{idea[1:]}\n\n" + "\n".join(section(name, choices[name]) for name in names) for idea, names in groups)
    return "\n".join([TOP, contents, "", *sections])


def section(name: str, path: Path) -> str:
    """One strategy: what it is, its paper, equation, facts, keys and numbers."""
    target = shelves.value(path, "_target_")
    equation, _, notes = shelves.class_docstring(target).partition("\n\n")
    parts = [f"### {name}", shelves.describe(path) + "."]
    if paper := shelves.header(path, "paper"):
        parts.append(f"Paper: {paper}.")
    parts += [f"```text\n{equation}\n```", notes, facts(path, target)]
    if keys := [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "_target_:", "name:", "starts_from:"))]:
        parts.append("```yaml\n" + "\n".join(keys) + "\n```")
    parts.append(numbers(name))
    return "\n\n".join(part for part in parts if part) + "\n"


def facts(path: Path, target: str) -> str:
    """What a strategy sees and asks for."""
    sees = ", ".join(f"`{word}`" for word in shelves.sights(path) or [] if word != "model of the source")
    needs = [shelves.declared(target, attribute) for attribute in ("needs_target_labels", "shares_classes", "needs_source_model")]
    labels, classes, model = (isinstance(node, ast.Constant) and node.value for node in needs)
    start = shelves.value(path, "starts_from")
    return (
        f"Sees {sees}. Starts from {STARTS.get(start, '?')}{WITHOUT if start == 'source' and not model else ''}. "
        f"Labels: {'needed' if labels else 'works without'}. Classes: {'must be shared' if classes else 'may differ'}."
    )


def numbers(name: str) -> str:
    """The published values that an experiment holds for a strategy, as a table, or ""."""
    cells = []
    for file in sorted((conf.own_folder().parent / "experiments").glob("*/published.csv")):
        with file.open(newline="") as lines:
            columns = [*next(csv.reader(lines))[:-1], "cited"]  # the last column is called `source` too: where the value stands
            rows = [row for row in csv.DictReader(lines, columns) if row["strategy"] == name]
        link = f"[{file.parent.name}](../experiments/{file.parent.name}/README.md)"
        cells += [[link, row["source"], row["target"], row["label_budget"], row["backbone"], row["value"], row["unit"]] for row in rows]
    head = ["experiment", "source", "target", "label_budget", "backbone", "published", "unit"]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *cells]) if cells else ""
