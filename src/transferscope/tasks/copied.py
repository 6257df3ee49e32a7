"""What a record says of copies of test items. Imports no torch."""

from typing import NamedTuple


class Copies(NamedTuple):
    """How many of the `tested` items have a bit-equal copy among the target's other items, and in each
    source. None: not known, of an earlier version or of pictures that a user's own loader leaves on disk."""

    tested: int
    train: int | None
    sources: dict[str, int | None]

    def warnings(self, target: str) -> list[str]:
        """A line for each place that copies were found in."""
        places = {"its training items": self.train} | {
            f"source {name}": number for name, number in self.sources.items()
        }
        return [
            f"{number} of {self.tested} test items of {target} have a bit-equal copy in {place}"
            for place, number in places.items()
            if number
        ]
