"""What records, sweep plans, predictions, readings and claims look like. They may come from anywhere: they
are data, checked before they are used.

A shape is a type or several, NUMBER, a pattern of the whole text, a list with the one shape of its items, or
a dict of shapes by key, where a key that ends in `?` may be absent, `*` is every key, and other keys may be
there."""

import math
import re

NOTHING = type(None)
NUMBER = "a finite number"
DOMAIN = {"name": str, "digest": re.compile(r"\w+")}  # a digest names files
CELL = {
    "source": (str, NOTHING), "target": str, "label_budget": (int, re.compile("full"), NOTHING),
    "backbone": str, "initialisation": str, "strategy": str, "protocol": str,
}  # fmt: skip
CONSUMED = {
    "target": DOMAIN, "sources": [DOMAIN], "trainer?": {"steps?": int, "source_steps?": int},
    "backbone?": dict, "source_label_noise?": NUMBER, "seed?": (int, NOTHING), "split_seed?": int,
    "fold?": int, "folds?": int,
}  # fmt: skip
RESULT = {
    "metrics?": {"*": (int, float)}, "samples?": {"source?": int}, "class_counts?": {"*": {"*": int}},
    "steps?": {"target?": NUMBER, "source?": NUMBER}, "evaluations?": [int], "flags?": [str],
    "input_shape?": [int], "own_shape?": [int], "own_white?": (int, NOTHING),
    "copies?": {"tested": int, "train": (int, NOTHING), "sources": {"*": (int, NOTHING)}},
}  # fmt: skip
CONFIG = {"backbone?": dict, "strategy?": dict, "trainer?": dict}
RECORD = {
    "fingerprint": str, "status": str, "reason": str, "cell": CELL, "seed": int, "role": str, "sees": [str],
    "consumed": CONSUMED, "config": CONFIG, "result": RESULT, "conditional_on?": [str],
    "timings": {"wall_seconds?": NUMBER, "source_seconds?": NUMBER}, "versions?": dict,
    "source_model?": {"key": re.compile("[0-9a-f]+"), "made": bool}, "git?": {"revision": (str, NOTHING)},
    "weights?": {"*": int},
}  # fmt: skip
LOOK = {
    "look": int, "state": str, "verdict": re.compile("positive|negative|equivalent|undecided"), "limit": str,
    "reason": str, "seeds": int, "delta": (NUMBER, NOTHING), "ci_simultaneous": ([NUMBER], NOTHING),
    "p_adjusted": (NUMBER, NOTHING),
}  # fmt: skip
JOB = {
    "seed": int,
    "role": str,
    "variant": dict,
    "reason": str,
    "overrides": str,
    "lengthens?": {"run": str, "times": int},
}
PLANNED = {"status": re.compile("planned"), "fingerprint": re.compile(r"[0-9a-f]+"), "cell": CELL}
RULED_OUT = {
    "status": re.compile("not_applicable"), "fingerprint": NOTHING,
    "cell": {"label_budget?": (str, int, NOTHING)} | {f"{key}?": (str,
    NOTHING) for key in CELL if key != "label_budget"},
}  # fmt: skip
PLAN = {
    "name": str,
    "created": str,
    "jobs": [(JOB | PLANNED, JOB | RULED_OUT)],
    "sequential?": {
        **dict.fromkeys(("baseline", "metric", "selection", "margin", "alpha"), (str, NUMBER)),
        "looks": [int], "taken": int, "cells": [{"runs": [str], "baseline_runs": [str], "cell": CELL,
        "looks": [LOOK], "readings?": int}],
    },
    "settle?": {**dict.fromkeys(("baseline", "metric", "margin", "alpha"), (str, NUMBER)), "lengths": [int]},
}  # fmt: skip
ESTIMATE = (NUMBER, NOTHING, {"estimate": NUMBER, "lo": NUMBER, "hi": NUMBER})
PREDICTION = {
    "kind": str, "created": str, "consumed": {**CONSUMED, "seed": int}, "values": {"*": {"*": ESTIMATE}},
    "reasons": {"*": str}, "source_seconds?": (NUMBER, NOTHING),
}  # fmt: skip
READING = (  # the lines of a log of readings: its beginning, a cell that was read, a claim that was told
    {"began": str},
    {"read": re.compile("[0-9a-f]+"), "family": str, "seeds": [int], "planned": [int], "when": str},
    {
        "told": re.compile("[0-9a-f]+"), "verdict": re.compile("positive|negative|equivalent"), "metric": str,
        "selection": str, "margin": (str, NUMBER), "alpha": NUMBER, "items": str, "correction": str,
        "seeds": int, "cells": int, "when": str,
    },
)  # fmt: skip
CLAIM = {"host": str, "pid": int, "since": str, "step": int, "steps": int}


def misfit(value: object, shape: object, at: str = "") -> str | None:
    """Where a value is not of a shape, such as `cell.source`; None where it is."""
    if isinstance(shape, type):  # most are
        return None if type(value) is shape else at
    match shape:
        case dict() if isinstance(value, dict):
            for key, inner in shape.items():
                name = key.removesuffix("?")
                if name not in value and name == key != "*":
                    return f"{at}.{name}".lstrip(".")
                for found in value if key == "*" else {name} & value.keys():
                    if (wrong := misfit(value[found], inner, f"{at}.{found}".lstrip("."))) is not None:
                        return wrong
            return None
        case list() if isinstance(value, list):
            return next(
                (
                    wrong
                    for number, item in enumerate(value)
                    if (wrong := misfit(item, shape[0], f"{at}[{number}]")) is not None
                ),
                None,
            )
        case tuple():
            fits = any(misfit(value, one, at) is None for one in shape)
        case re.Pattern():
            fits = isinstance(value, str) and shape.fullmatch(value)
        case str():  # NUMBER
            fits = type(value) in (int, float) and math.isfinite(value)
        case _:
            fits = False
    return None if fits else at


def printable(value: object) -> object:
    """The same with � in place of what could steer a terminal or break a line, in texts and keys at any
    depth."""
    match value:
        case str():
            return value if value.isprintable() else "".join(c if c.isprintable() else "�" for c in value)
        case dict():
            return {
                printable(key): item if key == "traceback" else printable(item) for key, item in value.items()
            }
        case list():
            return [printable(item) for item in value]
        case _:
            return value
