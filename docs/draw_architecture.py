"""Draw which package imports which, from the sources: python docs/draw_architecture.py FILE.svg (`make
docs`).

A package stands above all that it imports. An arrow that others imply is left out: cli imports store, but so
does comparison, which cli imports.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "transferscope"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 132, 34, 26, 40, 20


def imports() -> dict[str, set[str]]:
    """By package (a folder, or a file of the top level): the packages that its files import."""
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).with_suffix("").parts[0]
        if name != "__init__":
            found.setdefault(name, set()).update(set(_imported(ast.parse(path.read_text("utf-8")))) - {name})
    return {name: others & found.keys() for name, others in found.items()}


def _imported(node: ast.AST) -> Iterator[str]:
    """Packages of the project that are imported at the head or in functions, but for type checkers."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == SOURCE.name:
        inner = node.module.split(".")[1:]
        yield from inner[:1] or [alias.name for alias in node.names]
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """0 for what imports nothing, else one above the highest import. Raises ValueError for a circle."""
    found: dict[str, int] = {}
    while rest := graph.keys() - found.keys():
        ready = {name for name in rest if graph[name] <= found.keys()}
        if not ready:
            raise ValueError(f"{', '.join(sorted(rest))} import each other in a circle")
        found |= {name: max((found[other] + 1 for other in graph[name]), default=0) for name in ready}
    return found


def reachable(graph: dict[str, set[str]], name: str) -> set[str]:
    return graph[name] | {far for near in graph[name] for far in reachable(graph, near)}


def arrows(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Those that no chain of others implies."""
    return [
        (name, other)
        for name in sorted(graph)
        for other in sorted(graph[name])
        if not any(other in reachable(graph, near) for near in graph[name] - {other})
    ]


def places(graph: dict[str, set[str]]) -> dict[str, tuple[float, int]]:
    """(column, floor). On each floor the order is that of the mean column of what stands below."""
    heights, found = floors(graph), {}
    links = arrows(graph)
    for floor in range(max(heights.values()) + 1):
        row = sorted(name for name, height in heights.items() if height == floor)
        below = {name: [found[other][0] for start, other in links if start == name] for name in row}
        row.sort(key=lambda name: sum(below[name]) / len(below[name]) if below[name] else 0.0)
        found |= {name: (number - (len(row) - 1) / 2, floor) for number, name in enumerate(row)}
    return found


def draw(graph: dict[str, set[str]]) -> str:
    """The picture, as SVG."""
    at = places(graph)
    left, top = min(x for x, _ in at.values()), max(floor for _, floor in at.values())
    corner = {
        name: (MARGIN + (x - left) * (WIDTH + GAP_X), MARGIN + (top - floor) * (HEIGHT + GAP_Y))
        for name, (x, floor) in at.items()
    }
    width = max(x for x, _ in corner.values()) + WIDTH + MARGIN
    height = max(y for _, y in corner.values()) + HEIGHT + MARGIN
    lines = [
        '<path class="arrow" d="M{:g} {:g}L{:g} {:g}"/>'.format(*_from_to(corner[start], corner[end]))
        for start, end in arrows(graph)
    ]
    boxes = [
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
        f'<text x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2 + 5:g}">{name}</text>'
        for name, (x, y) in corner.items()
    ]
    return "\n".join([HEAD.format(width=f"{width:g}", height=f"{height:g}"), *lines, *boxes, "</svg>", ""])


def _from_to(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float, float, float]:
    return start[0] + WIDTH / 2, start[1] + HEIGHT, end[0] + WIDTH / 2, end[1] - 3


HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
viewBox="0 0 {width} {height}">
<title>Packages of transferscope: each imports only what stands below it</title>
<style>
text {{ font: 14px sans-serif; text-anchor: middle; fill: #1b1f24 }}
rect {{ fill: #fff; stroke: #57606a }}
.arrow {{ stroke: #8c959f; fill: none; marker-end: url(#tip) }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#8c959f"/></marker></defs>
<rect width="100%" height="100%" style="fill: #fff; stroke: none"/>"""

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(imports()), encoding="utf-8")
