"""Which column of a foreign table says what: the names that are known, `--map`, and columns that stand for a
seed, a strategy or a class each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from transferscope.errors import RequestError, nearest
from transferscope.store.printable import printable

# what an item of a run is: the run it belongs to, and what is known of the item
RUN = (
    "seed", "strategy", "source", "target", "label_budget", "backbone", "initialisation", "protocol",
    "variant",
)  # fmt: skip
ITEM = ("item", "group", "split")
KEYS = (*RUN, *ITEM)
NUMBERS = ("score", "truth", "cap")
OUTCOMES = ("score", "label", "prediction", "truth", "p", "cap")
CLASS, PROBABILITY = "class", "p_{class}"
_PAIR = re.compile(r",(?=\s*\w+\s*=)")  # a column's name may hold a comma
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Choice:
    """What a user says of a table's columns. columns: by our name theirs, which may have places for a seed, a
    strategy or a class: `pred_{seed}`. metadata: those that describe items, by which subgroups are told
    apart. ignored: those that are left out; `*` for all that nothing is said of."""

    columns: Mapping[str, str] = field(default_factory=dict)
    metadata: Sequence[str] = ()
    ignored: Sequence[str] = ()

    @classmethod
    def checked(
        cls, columns: Mapping[str, str], metadata: Sequence[str] = (), ignored: Sequence[str] = ()
    ) -> "Choice":
        """Raises RequestError."""
        known = (*KEYS, *OUTCOMES)
        for ours, theirs in columns.items():
            if ours not in known:
                raise RequestError(
                    f"--map {ours}={theirs}: '{ours}' is none of our columns ({', '.join(known)})"
                    f"{nearest(ours, known)}"
                )
            _check_places(ours, theirs)
        return cls(dict(columns), tuple(metadata), tuple(ignored))

    @property
    def asked(self) -> set[str]:
        """Theirs, by name: what a reader with many more columns gives of them."""
        return {*self.columns.values(), *self.metadata}


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """`strategy=model,label=gold` each. Raises RequestError."""
    found: dict[str, str] = {}
    for pair in (pair for text in texts for pair in _PAIR.split(text)):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not theirs:
            raise RequestError(f"--map {pair}: OUR=THEIRS is needed, as in strategy=model")
        if ours in found:
            raise RequestError(f"--map: {ours} is given twice, as '{found[ours]}' and as '{theirs}'")
        found[ours] = theirs
    return found


@dataclass(frozen=True)
class Block:
    """Columns that make rows together: those that a row has anyway, or those of one seed or strategy of a
    wide table.

    run: what their names say of the run. columns: by our name theirs. classes: theirs by class."""

    run: Mapping[str, str]
    columns: Mapping[str, str]
    classes: Mapping[str, str]


@dataclass(frozen=True)
class Columns:
    """What the columns of one table are. keys: by our name theirs. blocks: one, or those of a wide table.
    metadata: names."""

    keys: Mapping[str, str]
    blocks: Sequence[Block]
    metadata: Sequence[str]

    @property
    def texts(self) -> list[str]:
        """Theirs that are read as text; a prediction is a number where the truth is one."""
        outcomes = [
            block.columns[key] for block in self.blocks for key in self.labels if key in block.columns
        ]
        return list(dict.fromkeys([*self.keys.values(), *self.metadata, *outcomes]))

    @property
    def numbers(self) -> list[str]:
        keys = [*NUMBERS, *(() if "prediction" in self.labels else ("prediction",))]
        found = [block.columns[key] for block in self.blocks for key in keys if key in block.columns]
        return list(
            dict.fromkeys([*found, *(name for block in self.blocks for name in block.classes.values())])
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the outcomes those that name classes."""
        has_truth = any("truth" in block.columns for block in self.blocks)
        return ("label",) if has_truth else ("label", "prediction")


def resolve(header: Sequence[str], choice: Choice, where: str) -> Columns:
    """where: of the table, for what is said. Raises RequestError."""
    shown = [printable(name) for name in header]
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise RequestError(f"{where}: two columns are named '{printable(doubled[0])}'")
    rest = [name for name in header if name not in (*choice.metadata, *choice.ignored)]
    for option, names in (("metadata", choice.metadata), ("ignore", choice.ignored)):
        for name in names:
            if name not in header and not (option == "ignore" and name == "*"):
                raise RequestError(f"--{option} {name}: {where} has no such column{nearest(name, shown)}")
    keys: dict[str, str] = {}
    plain: dict[str, str] = {}
    for ours in (*KEYS, *OUTCOMES):
        theirs = choice.columns.get(ours, ours)
        if _PLACE.search(theirs) or ours == "p":
            continue
        if theirs in rest:
            rest.remove(theirs)
            (keys if ours in KEYS else plain)[ours] = theirs
        elif ours in choice.columns:
            raise RequestError(
                f"--map {ours}={theirs}: {where} has no such column{nearest(theirs, shown)} "
                f"({', '.join(shown[:12])}{' …' if len(shown) > 12 else ''})"
            )
    blocks = _blocks(rest, {"p": PROBABILITY} | dict(choice.columns), plain, where)
    taken = {name for block in blocks for name in (*block.columns.values(), *block.classes.values())}
    if unknown := [name for name in rest if name not in taken and "*" not in choice.ignored]:
        known = [name for name in (*KEYS, *OUTCOMES) if name != "p"]
        name = printable(unknown[0])
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise RequestError(
            f"{where}: column '{name}'{more} is not known{nearest(name, known) or '.'} Say what it is with "
            f"--map OUR={name}, that it describes items with --metadata {name}, or leave it out with "
            f"--ignore {name} ('*' for all such)"
        )
    both = {key for block in blocks for key in block.run if key in keys}
    if both:
        raise RequestError(f"{where}: {both.pop()} has a column of its own and is in the names of others too")
    return Columns(keys, blocks, list(choice.metadata))


def _blocks(
    rest: Sequence[str], asked: Mapping[str, str], plain: Mapping[str, str], where: str
) -> list[Block]:
    """Raises RequestError where a pattern that was asked for fits no column."""
    found: dict[tuple[tuple[str, str], ...], tuple[dict[str, str], dict[str, str]]] = {}
    for ours, pattern in asked.items():
        places = _PLACE.findall(pattern)
        if not places:
            continue
        matcher = re.compile(
            "".join(
                f"(?P<{part}>.+)" if is_place else re.escape(part)
                for is_place, part in ((k % 2, part) for k, part in enumerate(_PLACE.split(pattern)))
            ),
            re.DOTALL,
        )
        matches = [match for name in rest if (match := matcher.fullmatch(name))]
        if not matches and pattern != PROBABILITY:
            raise RequestError(f"--map {ours}={pattern}: {where} has no column of such a name")
        for match in matches:
            run = match.groupdict()
            named = run.pop(CLASS, None)
            columns, classes = found.setdefault(tuple(sorted(run.items())), ({}, {}))
            if named is None:
                columns[ours] = match.string
            else:
                classes[named] = match.string
    shared = found.pop((), ({}, {}))
    blocks = [
        Block(dict(run), {**plain, **shared[0], **columns}, {**shared[1], **classes})
        for run, (columns, classes) in found.items()
    ]
    return blocks or [Block({}, {**plain, **shared[0]}, shared[1])]


def _check_places(ours: str, theirs: str) -> None:
    places = _PLACE.findall(theirs)
    allowed = (*RUN, CLASS) if ours == "p" else RUN
    if ours in KEYS and places:
        raise RequestError(
            f"--map {ours}={theirs}: only outcomes ({', '.join(OUTCOMES)}) may have several columns"
        )
    for place in places:
        if place not in allowed or places.count(place) > 1:
            raise RequestError(
                f"--map {ours}={theirs}: {{{place}}} is none of {', '.join(allowed)}, once each"
                f"{nearest(place, allowed)}"
            )
    if ours == "p" and CLASS not in places:
        raise RequestError(f"--map p={theirs}: a place for the class is needed, as in p=prob_{{class}}")
