"""Texts as rows of the tokens of a tokenizer of transformers."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from transferscope.backbones.hub import hub, one_line
from transferscope.errors import RequestError
from transferscope.networks.tokens import CONTINUES, SECOND, SPECIAL, Tokens

FILES = ("tokenizer.json", "vocab.*", "*.model")  # one of which holds a tokenizer's vocabulary
BLOCK = 1024  # texts that are tokenised at a time


class TokenReader:
    """The rows of a tokenizer, special tokens with them, of `max_tokens` at most: of two texts the longer one
    is cut first. A text without a token has one all the same, its end or whatever special token there is."""

    learns = False

    def __init__(self, tokenizer: Any, max_tokens: int, key: str):
        self.tokenizer, self.max_tokens, self.key = tokenizer, max_tokens, key
        self.row_shape = (max_tokens,)
        self.mask = tokenizer.mask_token_id  # None: it has none
        self.largest = max(tokenizer.get_vocab().values())
        special = (
            tokenizer.eos_token_id,
            tokenizer.sep_token_id,
            tokenizer.bos_token_id,
            tokenizer.pad_token_id,
        )
        self.of_nothing = next((token for token in special if token is not None), 0)

    def fit(self, items: Sequence[tuple[str, ...]]) -> "TokenReader":
        return self

    def read(self, items: Sequence[tuple[str, ...]]) -> Tokens:
        rows: list[np.ndarray] = []
        cut: list[bool] = []
        for start in range(0, len(items), BLOCK):
            encoded = self.tokenizer(
                *map(list, zip(*items[start : start + BLOCK], strict=True)),
                padding=False,
                truncation="longest_first",
                max_length=self.max_tokens,
                return_overflowing_tokens=False,
                return_special_tokens_mask=True,
            )
            for place in range(len(encoded["input_ids"])):
                of_text = encoded.encodings[place]
                rows.append(_row(of_text, self.of_nothing))
                cut.append(len(of_text.overflowing) > 0)
        return replace(Tokens.of(rows, self.max_tokens), cut=np.array(cut, dtype=bool))


def _row(of_text: Any, of_nothing: int) -> np.ndarray:
    """int32 [L] of an encoding of the library tokenizers."""
    row = np.array(of_text.ids or [of_nothing], dtype=np.int32)
    if not of_text.ids:
        return row | SPECIAL
    words, texts = of_text.word_ids, of_text.sequence_ids
    special = np.array(of_text.special_tokens_mask, dtype=bool)
    goes_on = [
        i > 0 and words[i] is not None and (words[i], texts[i]) == (words[i - 1], texts[i - 1])
        for i in range(len(row))
    ]
    row[goes_on] |= CONTINUES
    row[np.array(of_text.type_ids) > 0] |= SECOND
    row[special] |= SPECIAL
    return row


@lru_cache(maxsize=8)
def tokenizer_of(model: str, max_tokens: int) -> TokenReader:
    """Of a folder or of the hub. Raises RequestError where there is none."""
    transformers = library()
    folder = Path(model).expanduser()
    if is_folder(model) and not any(path for kind in FILES for path in folder.glob(kind)):
        raise RequestError(  # transformers would make one without a word
            f"backbone.model={model}: the folder has no tokenizer; save it there with "
            "tokenizer.save_pretrained(folder)"
        )
    source = str(folder) if is_folder(model) else model
    try:
        with of_hub(model):
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, use_fast=True)
        backend = json.loads(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # the hub, json, tokenizers and transformers have their own
        where = "in the folder" if is_folder(model) else "on the hub, or no network to it"
        raise RequestError(
            f"backbone.model={model}: no tokenizer {where} ({one_line(error)}); "
            "give a folder with tokenizer.json"
        ) from error
    backend = {
        key: value for key, value in backend.items() if key not in ("truncation", "padding", "version")
    }
    content = json.dumps(backend, sort_keys=True).encode()
    key = f"tokens-1-{max_tokens}-{hashlib.blake2b(content, digest_size=8).hexdigest()}"
    return TokenReader(tokenizer, max_tokens, key)


def of_hub(model: str) -> AbstractContextManager[None]:
    return nullcontext() if is_folder(model) else hub()


def is_folder(model: str) -> bool:
    return Path(model).expanduser().is_dir()


@lru_cache(maxsize=1)
def library() -> Any:
    """transformers, which says nothing of its own."""
    try:
        found: Any = import_module("transformers")
    except ImportError as error:
        raise RequestError(
            "backbone=transformer: transformers is not installed; pip install 'transferscope[text]'"
        ) from error
    found.logging.set_verbosity_error()
    found.logging.disable_progress_bar()
    return found
