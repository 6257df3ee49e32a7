"""Any text encoder of transformers as a backbone."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from transferscope.backbones.encoders import (
    check_length,
    check_mask,
    check_vocabulary,
    configuration,
    load_weights,
    random_encoder,
)
from transferscope.backbones.on_top import WithLayersOnTop
from transferscope.backbones.tokenizers import TokenReader, is_folder, tokenizer_of
from transferscope.errors import RequestError, nearest
from transferscope.networks.tokens import NUMBER, PAD, SECOND, trimmed

POOLINGS = ("mean", "cls", "last")


class Transformer(WithLayersOnTop):
    """Texts → the last hidden states of a model of transformers, pooled [N, d].

    model: a name on the hub, or a folder with config.json and a tokenizer: BERT and its kin (RoBERTa,
        DistilBERT, MiniLM, DeBERTa, ELECTRA, ALBERT), decoders as GPT-2, of an encoder-decoder as T5 or
        BART the encoder.
    weights: "random", "pretrained" (those of `model`), or the path of a .safetensors file in the model's
        own key names, or in those of a larger model that holds it. All are taken as float32.
    pooling: `mean` of all tokens, special ones too, as sentence-transformers has it; `cls`, the first;
        `last`, as decoders want it.
    max_tokens: a text has no more tokens than that, its end is left out.
    hidden: widths of layers on top of the model, which then stays as it was transferred.

    Rows are padded on the right whatever the tokenizer would do: no token of a text looks at padding, and
    positions count from the text's first token. A tokenizer without a padding token is as good as any."""

    takes = ("text",)
    below = "model"
    loaded: dict[str, int] | None = None  # of a file: tensors that were taken, that the model has, left out

    def __init__(
        self,
        input_shape: tuple[int, ...],
        model: str,
        weights: str = "random",
        pooling: str = "mean",
        max_tokens: int = 256,
        hidden: Sequence[int] = (),
    ):
        super().__init__()
        if pooling not in POOLINGS:
            raise RequestError(
                f"backbone.pooling={pooling}; allowed: {', '.join(POOLINGS)}{nearest(pooling, POOLINGS)}"
            )
        config = configuration(model)
        check_vocabulary(config, model, tokenizer_of(model, max_tokens))
        self.pooling = pooling
        self.model = random_encoder(config)
        check_length(self.model, model, max_tokens)
        check_mask(self.model, model)
        if weights != "random":
            self.loaded = load_weights(self.model, weights, model)
        own: Any = self.model.config  # of an encoder-decoder the encoder may have one of its own
        self.features = int(getattr(own, "hidden_size", None) or own.d_model)
        padding = getattr(config, "pad_token_id", None)
        self.padding = 0 if padding is None or padding < 0 else int(padding)
        self.has_types = int(getattr(config, "type_vocab_size", 0) or 0) > 1
        self.put_on_top(hidden)

    @classmethod
    def reader(cls, **arguments: Any) -> TokenReader:
        configuration(str(arguments["model"]))  # what is no model of texts is said to be none
        return tokenizer_of(str(arguments["model"]), int(arguments.get("max_tokens", 256)))

    @classmethod
    def identity(cls, arguments: Mapping[str, Any]) -> dict[str, str]:
        model = str(arguments["model"])
        if not is_folder(model):
            return {}
        found = {
            "model": f"folder:{_hash_of(Path(model).expanduser(), ('config.json', 'tokenizer*', 'vocab*'))}"
        }
        if arguments.get("weights") == "pretrained":
            found["weights"] = f"folder:{_hash_of(Path(model).expanduser(), ('*.safetensors', '*.bin'))}"
        return found

    @property
    def embeddings(self) -> Tensor:
        """Of the tokens [vocabulary, e]"""
        return cast(Tensor, self.model.get_input_embeddings().weight)  # type: ignore[operator]

    def encode(self, inputs: Tensor) -> Tensor:
        return self.pooled(*self.states(inputs))

    def states(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Of rows of tokens: the last hidden states [N, L, d], as wide as the longest text, and which of them
        are a text's, bool [N, L]."""
        rows = trimmed(inputs)
        there = rows != PAD
        ids = torch.where(there, rows & NUMBER, self.padding).long()
        # a row of a text always has a token: the reader sees to it
        arguments = {"input_ids": ids, "attention_mask": there.long()}
        if self.has_types:
            arguments["token_type_ids"] = ((rows & SECOND) != 0).long() * there
        states = self.model(**arguments).last_hidden_state
        if states.shape[1] != rows.shape[1]:
            raise RequestError(
                f"backbone.model: of {rows.shape[1]} tokens {cast(Any, self.model.config).model_type} leaves "
                f"{states.shape[1]}; give a model that has a hidden state for each token"
            )
        return states, there

    def pooled(self, states: Tensor, there: Tensor) -> Tensor:
        """Hidden states [N, L, d] of tokens, and which of them are a text's [N, L] → [N, d]"""
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "last":
            return states[torch.arange(len(states), device=states.device), there.sum(1) - 1]
        weights = there.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)

    def groups_below(self) -> list[tuple[str, list[nn.Parameter]]]:
        """Embeddings, then one group a layer; what comes behind the last layer is of it."""
        return layers_of(self.model)


def layers_of(model: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """Of a model of transformers: its longest list of modules are its layers, what is named before them or
    says that it embeds is embeddings."""
    lists = {name: part for name, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    if not lists:
        return [("model", list(model.parameters()))]
    stack = max(lists, key=lambda name: (len(lists[name]), -name.count(".")))
    groups: dict[str, list[nn.Parameter]] = {"embeddings": []}
    groups |= {f"{stack}.{i}": [] for i in range(len(lists[stack]))}
    behind = False
    for name, parameter in model.named_parameters():
        if name.startswith(f"{stack}."):
            behind = True
            groups[".".join(name.split(".")[: stack.count(".") + 2])].append(parameter)
        elif behind and "embed" not in name:
            groups[f"{stack}.{len(lists[stack]) - 1}"].append(parameter)
        else:
            groups["embeddings"].append(parameter)
    return [(name, parameters) for name, parameters in groups.items() if parameters]


@lru_cache(maxsize=8)
def _hash_of(folder: Path, patterns: tuple[str, ...]) -> str:
    """Of the content of the files of a folder."""
    h = hashlib.blake2b(digest_size=8)
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        content = path.read_bytes()
        if path.name == "config.json":  # which transformers writes its version into
            told = json.loads(content)
            content = json.dumps(
                {
                    key: value
                    for key, value in told.items()
                    if key not in ("transformers_version", "_name_or_path")
                },
                sort_keys=True,
            ).encode()
        h.update(f"{path.name} {len(content)} ".encode() + content)
    return h.hexdigest()
