"""Claims over domains as sentences, a table for the terminal, JSON, CSV, Markdown and LaTeX."""

import io
import json
from typing import TYPE_CHECKING

from transferscope.comparison import formats, formatting, latex, wording
from transferscope.comparison.formatting import interval, signed
from transferscope.store.schema import Json

if TYPE_CHECKING:
    from transferscope.comparison.over import Claim, Over

PLACES = ("label_budget", "backbone", "initialisation", "protocol")  # shown where claims differ in them
DISPENSABLE = ("p (", "new ", "Δ < 0", "how many")  # columns that go first where there is no room
IN_UNIT = ("delta", "margin")
INTERVALS = ("ci_simultaneous", "ci", "new_domain")


def opening(over: "Over") -> list[str]:
    s = over.settings
    lines = [
        (
            f"over {s['over']}, each domain counted once · baseline {s['baseline']} · metric {s['metric']} · "
            f"selection {s['selection']} · margin ±{formatting.margin(s)} · alpha {s['alpha']:g}"
        )
    ]
    if over.claims:
        kinds = "; ".join(dict.fromkeys(claim.method for claim in over))
        lines.append(f"Δ: {kinds}; intervals {wording.holds(s, _of_claims(len(over)))}")
    return lines + over.stamps


def _of_claims(count: int) -> str:
    return f"{count} claims of this command" if count > 1 else "claims of this command"


def sentences(over: "Over") -> list[str]:
    """What a person wants to take away: one a claim."""
    if not over.claims:
        return [f"No claim over {over.settings['over']}: {why_none(over)}."]
    return [sentence(claim, over) for claim in over]


def why_none(over: "Over") -> str:
    return "; ".join(sorted({row["reason"] for row in over.not_claimed})) or "nothing could be compared"


def sentence(claim: "Claim", over: "Over") -> str:
    settings = over.settings
    unit, where = formatting.unit_in(settings), _where(claim)
    text = (
        f"{named(vars(claim), over)}, {where}: Δ {signed(claim.delta, claim.metric)} {unit} "
        f"{interval(claim.ci_simultaneous, claim.metric)}, {formats.verdict_of(claim).replace(' *', '')}. "
        f"In {counts(claim)}"
    )
    if claim.new_domain:
        shown = interval(claim.new_domain, claim.metric)
        level = formatting.level(settings["alpha"])
        text += (
            f". What a new {claim.over[:-1]}, measured as these were, would show: {shown} ({level}, alone)"
        )
    return f"{text}."


def _where(claim: "Claim") -> str:
    if claim.over != "pairs":
        return f"over {claim.domains} {claim.over}"
    return f"over {claim.cells} pairs of {claim.sources} sources and {claim.targets} targets"


def counts(claim: "Claim") -> str:
    """`3 of 10 targets Δ < 0, 1 surely, 4 surely not`; no interval is both valid and of use."""
    return (
        f"{claim.below} of {claim.counted} {claim.over} Δ < 0, {claim.surely_below} surely, "
        f"{claim.surely_not_below} surely not"
    )


def barred(claim: "Claim") -> list[str]:
    """Cells whose Δ count although a rule keeps them from claims of their own."""
    found = (
        (claim.collapsed, "collapsed runs"),
        (claim.unfinished, "training that had not finished"),
    )
    return [
        f"{count} of {claim.cells} cells with {what}: what bars a claim of theirs does not bar this one"
        for count, what in found
        if count
    ]


def columns_of(over: "Over", marks: list[str]) -> list[tuple[str, list[str]]]:
    """(heading, one text a claim). marks: of the notes that a claim has."""
    claims, s = list(over), over.settings
    unit, level = formatting.unit_in(s), formatting.level(s["alpha"])
    strategies = ["\n".join(filter(None, (c.strategy, *c.variant.split(", ")))) for c in claims]
    columns = [("strategy", strategies)]
    for key in PLACES:
        if len({getattr(claim, key) for claim in claims}) > 1:
            columns.append((wording.heading(key, s["metric"]), [_place(claim, key) for claim in claims]))
    verdicts = [formats.verdict_of(claim) + mark for claim, mark in zip(claims, marks, strict=True)]
    reasons = [f"\n{claim.reason}" if claim.reason else "" for claim in claims]
    columns.append(("verdict", [v + reason for v, reason in zip(verdicts, reasons, strict=True)]))
    shown = [f"{signed(c.delta, c.metric)} {interval(c.ci_simultaneous, c.metric)}" for c in claims]
    columns.append((f"Δ {unit} [{level}]", shown))
    if any(claim.new_domain for claim in claims):
        new = [interval(claim.new_domain, claim.metric) for claim in claims]
        columns.append((f"new {s['over'][:-1]} [{level}, alone]", new))
    told = [f"{c.below}/{c.counted}: {c.surely_below} surely, {c.surely_not_below} not" for c in claims]
    columns.append(("Δ < 0", told))
    columns.append(("how many", [_size(claim) for claim in claims]))
    columns.append((f"p ({formats.CORRECTIONS[s['correction']]})", [_p(claim) for claim in claims]))
    return columns


def _p(claim: "Claim") -> str:
    return formatting.probability(claim.p_adjusted)


def _size(claim: "Claim") -> str:
    return f"{claim.sources} × {claim.targets}" if claim.over == "pairs" else str(claim.domains)


def _place(claim: "Claim", key: str) -> str:
    value = getattr(claim, key)
    return formatting.NOTHING if value is None else str(value)


def _notes(over: "Over") -> tuple[list[str], list[str]]:
    """Marks of each claim, and the notes by number."""
    numbers: dict[str, int] = {}
    marks = []
    for claim in over:
        own = [numbers.setdefault(n, len(numbers) + 1) for n in (*barred(claim), *claim.flags)]
        marks.append("".join(f" [{number}]" for number in own))
    return marks, [f"[{number}] {note}" for note, number in numbers.items()]


def listed(over: "Over") -> list[str]:
    """Questions of which nothing is claimed, those of one reason together."""
    together: dict[str, list[str]] = {}
    for row in over.not_claimed:
        together.setdefault(row["reason"], []).append(named(row, over))
    return [f"{reason}: {'; '.join(names)}" for reason, names in together.items()]


def to_table(over: "Over", width: int, colour: bool) -> str:
    from rich.text import Text

    text = io.StringIO()
    console = formats.console_of(text, width, colour)
    for line in opening(over):
        console.print(Text(line))
    marks, notes = _notes(over)
    columns, left_out = formats.spared(columns_of(over, marks), DISPENSABLE, width)
    if over.claims:
        console.print(formats.rich_table(columns, [claim.verdict for claim in over]))
    if left_out:
        console.print(Text(f"left out for want of room: {', '.join(left_out)} (--format csv has all)"))
    for line in (*notes, *listed(over)):
        console.print(Text(line))
    for line in sentences(over):
        console.print(Text(line, style="bold"))
    return text.getvalue()


def to_markdown(over: "Over") -> str:
    marks, notes = _notes(over)
    lines = [f"{formats.inert(line)}  " for line in opening(over)]
    lines += formats.markdown_table(columns_of(over, marks))
    below = [*notes, *listed(over), *sentences(over)]
    return "\n".join([*lines, "", *(f"{formats.inert(line)}  " for line in below)]) + "\n"


def to_json(over: "Over") -> str:
    rows = {
        "claims": [claim.to_dict() for claim in over],
        "not_claimed": over.not_claimed,
        "settings": over.settings,
    }
    return json.dumps(rows, indent=1, allow_nan=False, ensure_ascii=False)


def to_csv(over: "Over") -> str:
    """One row a claim, its differences in the unit that `unit` names, intervals as two columns."""
    table = [_csv_row(claim) for claim in over]
    return formats.csv_of(table, ["strategy", "verdict"])


def _csv_row(claim: "Claim") -> Json:
    def shown(value: float) -> float:
        return formatting.shown(value, claim.metric)

    row: Json = {}
    for key, value in claim.to_dict().items():
        if key in INTERVALS:
            row[f"{key}_low"], row[f"{key}_high"] = map(shown, value) if value else ("", "")
        elif key == "effects":
            row[key] = "; ".join(f"{name}: {shown(effect)}" for name, effect in value.items())
        elif key == "flags":
            row[key] = "; ".join(value)
        else:
            row[key] = shown(value) if key in IN_UNIT else value
    return row


def to_latex(over: "Over") -> str:
    """A `table` environment for \\usepackage{booktabs}."""
    s = over.settings
    columns = columns_of(over, [""] * len(over))
    arrows = [latex.ARROWS[claim.verdict] for claim in over]
    columns = [
        (name, arrows if name == "verdict" else [value.replace("\n", ", ") for value in values])
        for name, values in columns
    ]
    heads = ["" if name == "verdict" else name for name, _ in columns]
    rows = [list(row) for row in zip(*(values for _, values in columns), strict=True)]
    caption = f"{'. '.join(latex.escaped(line) for line in opening(over))}. {latex.legend(s)}."
    return latex.table(heads, rows, caption, [heads.index("")] if "" in heads else [])


def named(row: Json, over: "Over") -> str:
    """`fine_tuning (steps=5; backbone lenet) at 10 labels`: the question of a claim, or of what is not
    claimed."""
    apart = "; ".join(told_apart(row, over))
    labels = "" if row["label_budget"] is None else f" at {row['label_budget']} labels"
    return f"{row['strategy']}{f' ({apart})' if apart else ''}{labels}"


def told_apart(row: Json, over: "Over") -> list[str]:
    """The variant of a question, and those of its places in which questions differ, label budgets aside."""
    asked = [*map(vars, over), *over.not_claimed]
    differ = [key for key in PLACES[1:] if len({other[key] for other in asked}) > 1]
    return [*filter(None, [row["variant"]]), *(f"{wording.heading(key)} {row[key]}" for key in differ)]
