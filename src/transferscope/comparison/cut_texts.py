"""What a comparison says of texts that were longer than a backbone takes."""

from collections.abc import Iterable

from transferscope.store.schema import RunRecord


def lines(records: Iterable[RunRecord]) -> list[str]:
    """One for each domain and backbone that left the ends of texts out, however many runs they had."""
    found: dict[str, None] = {}
    for record in records:
        limit = ((record.get("config") or {}).get("backbone") or {}).get("max_tokens")
        least = f"backbone.max_tokens={limit}" if limit is not None else "the backbone takes"
        for domain, counts in sorted(((record.get("result") or {}).get("texts") or {}).items()):
            if cut := counts.get("cut"):
                found[
                    f"{cut:,} of {counts.get('items', cut):,} texts of {domain} are longer than {least} "
                    f"({record['cell']['backbone']}): their ends were left out"
                ] = None
    return sorted(found)
