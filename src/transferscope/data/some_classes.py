"""A part of another domain: the items of some of its classes. The others stay classes of it, without an item,
as partial adaptation has it."""

from dataclasses import replace

import numpy as np

from transferscope.data.domain import Domain
from transferscope.data.load import load_domain
from transferscope.data.on_disk import OnDisk
from transferscope.errors import RequestError, nearest


def load(name: str, domain: str, items_of: list[str], data_root: str, download: bool = False) -> Domain:
    """The domain of conf/domain/DOMAIN.yaml with the items of the classes `items_of` alone; items without a
    label are left out too.

    ids, groups, official splits and the names of all classes are those of the whole, so that a strategy that
    needs the source's classes takes it."""
    if domain == name:
        raise RequestError(f"domain={domain}: a domain cannot be a part of itself")
    whole = load_domain("domain", domain, data_root, download)
    for c in items_of:
        if c not in whole.classes:
            raise RequestError(f"items_of={c}: no class of {domain}{nearest(c, whole.classes)}")
    kept = np.flatnonzero(np.isin(whole.labels.numpy(), [whole.classes.index(c) for c in items_of]))
    if not len(kept):
        raise RequestError(f"items_of={items_of}: {domain} has no item of these classes")
    inputs = whole.inputs.selected(kept) if isinstance(whole.inputs, OnDisk) else whole.inputs[kept]
    return replace(
        whole, name=name, inputs=inputs, labels=whole.labels[kept], ids=whole.ids[kept],
        split=whole.split[kept], groups=None if whole.groups is None else whole.groups[kept],
        metadata={column: values[kept] for column, values in whole.metadata.items()},
    )  # fmt: skip
