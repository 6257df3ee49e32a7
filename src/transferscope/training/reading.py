"""Texts of a run as the rows of numbers that its backbone takes."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import get_class
from torch import Tensor

from transferscope.backbones.base import Backbone
from transferscope.data import tensor_files
from transferscope.data.domain import Domain
from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import EvaluationSet, LabelledData, RunData
from transferscope.data.texts import Item, Reader, Rows, Texts, as_inputs, together
from transferscope.networks.tokens import Tokens
from transferscope.store.lease import locked


def reader_of(section: Mapping[str, Any]) -> Reader | None:
    """How the backbone of a section takes texts; None of one that takes none. Raises RequestError for a
    tokenizer or vocabulary that cannot be read."""
    arguments = {key: value for key, value in section.items() if key not in ("name", "_target_", "_convert_")}
    return cast(type[Backbone], get_class(section["_target_"])).reader(**arguments)


def as_read(run_data: RunData, reader: Reader | None, store: Path) -> RunData:
    """A run's data with rows in the place of texts. reader: of its backbone, fitted already where its weights
    are another's; else it is fitted to what the run trains on."""
    if not isinstance(run_data.target.inputs, Texts):
        return run_data  # `fitted` hands texts on as such alone
    if reader is None:
        raise TypeError("the backbone takes no texts")
    pools = run_data.pools
    if reader.learns and not reader.key:
        seen: list[Any] = [pool.inputs for pool in (pools.source, pools.target) if pool is not None]
        seen += [] if pools.unlabelled is None else [pools.unlabelled]
        reader = fitted_to(reader, together(seen))

    for domain in (run_data.target, *run_data.sources):
        say_cut(domain.name, **cut_texts(domain, reader, store), most=reader.row_shape[0])

    def read(data: LabelledData | None) -> LabelledData | None:
        return None if data is None else data._replace(inputs=rows_of(data.inputs, reader, store))

    def evaluated(items: EvaluationSet) -> EvaluationSet:
        return replace(items, inputs=rows_of(items.inputs, reader, store))

    return replace(
        run_data,
        pools=pools._replace(
            source=read(pools.source), target=read(pools.target), validation=read(pools.validation),
            unlabelled=None if pools.unlabelled is None else rows_of(pools.unlabelled, reader, store),
        ),
        evaluated={name: evaluated(items) for name, items in run_data.evaluated.items()},
        validator_inputs=None
        if run_data.validator_inputs is None
        else rows_of(run_data.validator_inputs, reader, store),
        input_shape=reader.row_shape,
        reader=reader,
    )  # fmt: skip


def fitted_to(reader: Reader, texts: Texts) -> Reader:
    """Fitted to texts, whatever their order: those of several pools may come in any."""
    return _fitted(reader, tuple(sorted(set(texts.items()))))


@lru_cache(maxsize=4)
def _fitted(reader: Reader, items: tuple[Item, ...]) -> Reader:
    return reader.fit(items)


def cut_texts(domain: Domain, reader: Reader, store: Path) -> dict[str, int]:
    """Of how many texts of a domain the reader leaves the end out."""
    texts = cast(Texts, domain.inputs)
    cut = _of_every(texts.every, reader, store).cut[texts.places]
    return {"items": len(cut), "cut": int(cut.sum())}


@lru_cache(maxsize=64)
def say_cut(name: str, items: int, cut: int, most: int) -> None:
    """Once a process and domain, on stderr."""
    if cut:
        print(
            f"{name}: {cut:,} of {items:,} texts are longer than backbone.max_tokens={most}; the rest of "
            "each is left out",
            file=sys.stderr,
        )


def rows_of(inputs: Tensor | OnDisk | Texts, reader: Reader | None, store: Path) -> Tensor | OnDisk:
    """The rows of texts, each read once a store; other inputs as they are."""
    if not isinstance(inputs, Texts):
        return inputs
    if reader is None:
        raise TypeError("the backbone takes no texts")
    return as_inputs(_of_every(inputs.every, reader, store), inputs.places)


@lru_cache(maxsize=8)
def _of_every(every: tuple[Item, ...], reader: Reader, store: Path) -> Rows:
    """Tokens are kept in the store: texts are read anew where text or tokenizer is another. A reader that
    learns reads anew for each of its fits."""
    if reader.learns:
        return reader.read(every)
    key, folder = f"{Texts.of(every).digest}-{reader.key}", store / ".cache" / "tokens"
    path = folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.safetensors"
    with locked(path.with_suffix(".lock")):
        if (kept := tensor_files.read(path)) is not None:
            tensors, facts = kept
            values, starts, cut = (tensors[name].numpy() for name in ("values", "starts", "cut"))
            rows: Rows = Tokens(values, starts, int(facts["width"]), cut)
        else:
            rows = reader.read(every)
            if isinstance(rows, Tokens):
                arrays = {"values": rows.values, "starts": rows.starts, "cut": rows.cut}
                tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
                tensor_files.write(path, tensors, {"width": str(rows.width)})
    return rows
