"""The folklore of transfer learning beside what the stores say: Δ of probing and of fine-tuning over label
budget and over the distance between source and target.

python experiments/digits_pairs/folklore.py [EXPERIMENT=STORE ...] [--folder experiments/digits_pairs/results]

STORE: where `transferscope rank` left the distances of an experiment's pairs; they go into distances.csv, in
the place of what stood there of the same pairs. The verdicts are those of the atlas, and of two experiments
that it does not hold. From them come points.csv, which folklore.svg and folklore.png draw, and, of
digits_pairs alone, the claims over all pairs, claims.csv, and the orders by distance, orders.csv."""

import argparse
import csv
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import folklore_figure
from folklore_claims import STRATEGIES, claims, orders, outcomes

from transferscope.store.record import read_predictions

HERE = Path(__file__).parent
# verdicts in points; of several rates of old weights the default's
ELSEWHERE = {"backbone_rate": "verdicts_scratch.csv", "heart_disease": "verdicts.csv"}
DRAWN = "features/mmd"


@dataclass(frozen=True)
class Point:
    """Δ against training from scratch, in fractions. distance: the one that is drawn; empty without a
    source or a measurement."""

    experiment: str
    strategy: str
    target: str
    source: str
    label_budget: str
    verdict: str
    delta: float
    ci_low: float
    ci_high: float
    distance: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.source, self.target


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: Iterable[str], lines: Iterable[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


# --- what is drawn


def measured(path: Path, stores: dict[str, Path]) -> dict[tuple[str, str, str], dict[str, str]]:
    """{(experiment, source, target): {distance: value}}, of the file and then of the stores."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows(path) if path.exists() else []:
        place = row["experiment"], row["source"], row["target"]
        found.setdefault(place, {})[row["distance"]] = row["value"]
    for experiment, store in stores.items():
        for one in (one for one in read_predictions(store) if one["kind"] == "distances"):
            domains = (
                "+".join(s["name"] for s in one["consumed"]["sources"]),
                one["consumed"]["target"]["name"],
            )
            found[(experiment, *domains)] = {
                f"{group}/{name}": f"{value['estimate'] if isinstance(value, dict) else value:.5g}"
                for group in ("inputs", "features")
                for name, value in one["values"][group].items()
                if value is not None
            }
    columns = ("experiment", "source", "target", "distance", "value")
    lines = [
        (*place, name, value) for place, values in sorted(found.items()) for name, value in values.items()
    ]
    write(path, columns, (dict(zip(columns, line, strict=True)) for line in lines))
    return found


def verdicts() -> list[dict[str, str]]:
    """Rows of both strategies against scratch, with their experiment, in fractions."""
    atlas = rows(HERE.parent / "atlas" / "cells.csv")
    found = [row | {"strategy": row["column"]} for row in atlas if row["baseline"] == "scratch"]
    for experiment, name in ELSEWHERE.items():
        for row in rows(HERE.parent / experiment / "results" / name):
            if row["variant"] in ("", "strategy.backbone_rate=0.1"):
                numbers = {key: str(float(row[key]) / 100) for key in ("delta", "ci_low", "ci_high")}
                found.append({**row, **numbers, "experiment": experiment, "is_control": ""})
    return [row for row in found if row["strategy"] in STRATEGIES and not row["is_control"]]


def points(distances: dict[tuple[str, str, str], dict[str, str]]) -> list[Point]:
    return [
        Point(
            row["experiment"], row["strategy"], row["target"], row["source"], row["label_budget"],
            row["verdict"], *(round(float(row[key]), 4) for key in ("delta", "ci_low", "ci_high")),
            distances.get((row["experiment"], row["source"], row["target"]), {}).get(DRAWN, ""),
        )
        for row in verdicts()
    ]  # fmt: skip


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stores", nargs="*", metavar="EXPERIMENT=STORE")
    parser.add_argument("--folder", type=Path, default=HERE / "results")
    options = parser.parse_args(argv)
    stores = {name: Path(store) for name, _, store in (word.partition("=") for word in options.stores)}
    distances = measured(options.folder / "distances.csv", stores)
    drawn = points(distances)
    own = [point for point in drawn if point.experiment == "digits_pairs"]
    pairs, found = outcomes({(p.strategy, int(p.label_budget), p.pair): p.delta for p in own})
    claimed = claims(pairs, found)
    ordered = orders(pairs, found, {pair: distances["digits_pairs", *pair] for pair in pairs})
    write(options.folder / "points.csv", [f.name for f in fields(Point)], map(asdict, drawn))
    write(options.folder / "claims.csv", claimed[0], claimed)
    write(options.folder / "orders.csv", ordered[0], ordered)
    folklore_figure.draw(drawn, [row for row in ordered if row["distance"] == DRAWN], options.folder)
    for row in claimed:
        print(
            f"{row['claim']}: {100 * row['delta']:+.1f} points, {row['verdict']}: folklore {row['folklore']}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
