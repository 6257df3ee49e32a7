"""docs/reference/strategies.md: every strategy, from its yaml, its class and the experiments
that hold numbers of it."""

import ast
import csv
import json
import re
import textwrap
from itertools import groupby
from pathlib import Path

from transferscope.catalog import registry, yamls

TOP = """\
# The strategies

Written by `make docs` from the yamls in `conf/strategy`, the classes they name, and the experiments. E_S:
mean over labelled source items, E_T: over labelled target items, E_U: over unlabelled target items; p(x) are
class probabilities, f(x) features, H is the entropy. *Labels*: whether it needs labelled target items, or
works at `label_budget=0` too. *Classes*: whether source and target must have the same. The keys are those of
the yaml: `strategy.KEY=VALUE` sets one. *The labelled target items of `Adaptation`*: papers on unsupervised
adaptation have none; here, with labels in the budget, their cross-entropy is added with weight 1. `ramp`: 2 /
(1 + exp(-10 p)) - 1, p the share of steps done. *Published* and *ours* are accuracies, *inside* means at most
the tolerance apart: `transferscope reproduce EXPERIMENT`.

`strategy.backbone_rate`, a key of all that train the backbone, is the share of the learning rate that
pretrained weights and those of a source model have: 0.1 unless it is set, as in the references of DAN, CDAN,
MDD, MCC and SHOT; random ones have 1. With one rate for all, a step that suits the new parts can undo what
was transferred, which then looks like negative transfer.
"""
TOLD_ONCE = ("#", "_target_:", "name:", "starts_from:", "backbone_rate:")  # lines of a yaml
CELL = ("source", "target", "label_budget", "backbone", "initialisation", "strategy", "protocol")
STARTS = {
    "random": "random weights",
    "weights": "the backbone's own weights",
    "source": "a model trained on the source",
}
COLUMNS = 100  # of prose
WITHOUT = "; with `source=null`, the backbone's own weights"


def page(choices: dict[str, Path]) -> str:
    """The whole page, as Markdown."""
    order = sorted(choices, key=lambda name: registry.place(choices[name]))
    groups = [
        (idea, list(names)) for idea, names in groupby(order, lambda name: registry.idea(choices[name]))
    ]
    contents = "\n".join(
        f"- {idea}: " + ", ".join(f"[{name}](#{name})" for name in names) for idea, names in groups
    )
    sections = (
        f"## {idea[0].upper()}{idea[1:]}\n\n" + "\n".join(section(name, choices[name]) for name in names)
        for idea, names in groups
    )
    return "\n".join([prose(TOP), "", contents, "", *sections])


def prose(text: str) -> str:
    """Paragraphs, filled anew. A line never begins with what Markdown takes for a list or a heading."""
    held = re.sub(r"\s+(?=([-+*>#]|\d+[.)])\s)", "\N{NO-BREAK SPACE}", text)
    filled = (
        textwrap.fill(part, COLUMNS, break_long_words=False, break_on_hyphens=False)
        for part in re.split(r"\n\s*\n", held.strip())
    )
    return "\n\n".join(filled).replace("\N{NO-BREAK SPACE}", " ")


def section(name: str, path: Path) -> str:
    """One strategy: what it is, its paper, equation, facts, keys and numbers."""
    target = registry.value(path, "_target_")
    equation, _, notes = registry.class_docstring(target).partition("\n\n")
    parts = [f"### {name}", prose(registry.describe(path) + ".")]
    if paper := registry.header(path, "paper"):
        parts.append(prose(f"Paper: {paper}."))
    if compared := registry.header(path, "compared"):
        parts.append(prose(f"Compared: {compared}."))
    parts += [f"```text\n{equation}\n```", prose(notes), prose(facts(path, target))]
    if keys := [
        line for line in path.read_text("utf-8").splitlines() if line and not line.startswith(TOLD_ONCE)
    ]:
        parts.append("```yaml\n" + "\n".join(keys) + "\n```")
    parts.append(numbers(name))
    return "\n\n".join(part for part in parts if part) + "\n"


def facts(path: Path, target: str) -> str:
    """What a strategy sees and asks for."""
    sees = ", ".join(f"`{word}`" for word in registry.sights(path) or [] if word != "model of the source")
    needs = [
        registry.declared(target, attribute)
        for attribute in ("needs_target_labels", "shares_classes", "needs_source_model")
    ]
    labels, classes, model = (isinstance(node, ast.Constant) and node.value for node in needs)
    start = registry.value(path, "starts_from")
    return (
        f"Sees {sees}. Starts from "
        f"{STARTS.get(start, '?')}{WITHOUT if start == 'source' and not model else ''}. "
        f"Labels: {'needed' if labels else 'works without'}. Classes: "
        f"{'must be shared' if classes else 'may differ'}."
    )


def numbers(name: str) -> str:
    """What was published for a strategy and what came out here, as a table, or "". Of an experiment's tasks
    their mean, where it holds one."""
    lines = []
    for folder in sorted(
        path.parent for path in (yamls.own_folder().parent / "experiments").glob("*/published.csv")
    ):
        rows = [row for row in reproduction(folder) if row["cell"]["strategy"] == name]
        means = [row for row in rows if row["cell"]["source"] == "mean"]
        lines += [
            [f"[{folder.name}](../../experiments/{folder.name})", *line(row, rows)] for row in means or rows
        ]
    head = ["experiment", "task", "labels a class", "backbone", "published", "ours", "95 % interval", ""]
    return (
        "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines])
        if lines
        else ""
    )


def reproduction(folder: Path) -> list[dict]:
    """The rows of an experiment's results/reproduced.json; before there is one, those of its published.csv,
    without ours."""
    if (made := folder / "results" / "reproduced.json").is_file():
        return json.loads(made.read_text("utf-8"))
    with (folder / "published.csv").open(newline="", encoding="utf-8") as file:
        # the last column is called `source` too: where the value stands
        columns = [*next(csv.reader(file))[:-1], "cited"]
        return [
            {"cell": {key: row[key] for key in CELL}, "published": float(row["value"])}
            for row in csv.DictReader(file, columns)
        ]


def line(row: dict, rows: list[dict]) -> list[str]:
    """task, labels, backbone, published, ours, interval, verdict; rows: all of that strategy, to count a
    mean's tasks."""
    cell = row["cell"]
    tasks = [
        other
        for other in rows
        if other is not row and other["cell"] | {"source": "mean", "target": "mean"} == cell
    ]  # of no mean: none
    first = [
        f"mean of {len(tasks)}" if tasks else f"{cell['source'] or '∅'} → {cell['target']}",
        str(cell["label_budget"] or 0),
    ]
    first += [cell["backbone"], f"{row['published']:.3f}"]
    if row.get("ours") is None:
        return [*first, "", "", "no result" if "ours" in row else "not reproduced yet"]
    verdict = f"{'inside' if row['inside'] else 'miss'} (± {row['tolerance']:g})"
    if tasks:
        verdict += f", {sum(task['inside'] for task in tasks)} of {len(tasks)} tasks inside"
    return [*first, f"{row['ours']:.3f}", "{:.3f} to {:.3f}".format(*row["ci"]), verdict]
