"""Any text encoder of transformers (https://github.com/huggingface/transformers) as a backbone; one of the
files that import transformers."""

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from transferscope.backbones.hub import one_line
from transferscope.backbones.on_top import WithLayersOnTop
from transferscope.backbones.tokenizers import TokenReader, is_folder, library, of_hub, tokenizer_of
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
        _check_vocabulary(config, model, tokenizer_of(model, max_tokens))
        self.pooling = pooling
        self.model = _encoder(config)
        _check_length(self.model, model, max_tokens)
        _check_mask(self.model, model)
        if weights != "random":
            self.loaded = _load(self.model, weights, model)
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
def configuration(model: str) -> Any:
    """Of a folder or of the hub. Raises RequestError where there is none, or none of a model of texts."""
    transformers = library()
    if is_folder(model):
        path = Path(model).expanduser()
        if not (path / "config.json").is_file():
            raise RequestError(
                f"backbone.model={model}: the folder has no config.json; save it there with "
                "model.save_pretrained(folder)"
            )
    elif model.startswith(("/", "./", "../", "~")):
        raise RequestError(
            f"backbone.model={model}: no such folder; give one with config.json and a tokenizer, or a name "
            "on the hub"
        )
    try:
        with of_hub(model):
            config = transformers.AutoConfig.from_pretrained(
                str(Path(model).expanduser()) if is_folder(model) else model
            )
    except Exception as error:  # the hub, json and transformers have their own
        if is_folder(model):
            raise RequestError(
                f"backbone.model={model}: its config.json is none that transformers "
                f"{transformers.__version__} can read ({one_line(error)}); give one that save_pretrained "
                "wrote"
            ) from error
        raise RequestError(
            f"backbone.model={model}: neither a folder nor a model that the hub gives ({one_line(error)}); "
            "without a network give a folder with config.json and tokenizer.json"
        ) from error
    _check_texts(config, model)
    return config


def _check_texts(config: Any, model: str) -> None:
    """That a model takes tokens and nothing else: CLIP and its kin keep a text's part inside themselves."""
    kinds = library().AutoModel._model_mapping
    kind = kinds.get(type(config), None)
    first = kind[0] if isinstance(kind, tuple) else kind
    takes = getattr(first, "main_input_name", None) or "other inputs"
    if takes != "input_ids" or not getattr(config, "vocab_size", None):
        what = f"it takes {takes}" if takes != "input_ids" else "it has no vocabulary of its own"
        raise RequestError(
            f"backbone.model={model}: {config.model_type} is no model of texts alone ({what}); allowed: "
            "encoders such as BERT, decoders such as GPT-2, encoder-decoders such as T5"
        )


def _encoder(config: Any) -> nn.Module:
    """With random weights from torch's generator, of an encoder-decoder the encoder, without what pools."""
    transformers = library()
    try:
        model: Any = transformers.AutoModelForTextEncoding.from_config(config)
    except (KeyError, ValueError):
        model = transformers.AutoModel.from_config(config)
        if getattr(config, "is_encoder_decoder", False):
            model = model.get_encoder()
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return cast(nn.Module, model.float())


def _check_length(model: nn.Module, name: str, max_tokens: int) -> None:
    config: Any = model.config
    most = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 0
    for part, layer in model.named_modules():
        if part.endswith("position_embeddings") and getattr(layer, "padding_idx", None) is not None:
            most -= cast(int, layer.padding_idx) + 1  # its positions begin behind that of padding
    if not 1 < max_tokens <= (most if most > 0 else max_tokens):
        raise RequestError(
            f"backbone.max_tokens={max_tokens}: {name} takes 2 to {most if most > 0 else 'any number of'} "
            "tokens"
        )


def _check_mask(model: nn.Module, name: str) -> None:
    """That a model can be told which tokens are padding: of one that cannot, as FNet, a text's features would
    depend on the texts beside it."""
    if "attention_mask" not in inspect.signature(model.forward).parameters:
        raise RequestError(
            f"backbone.model={name}: {cast(Any, model.config).model_type} does not tell padding from texts; "
            "give a model with an attention mask"
        )


def _check_vocabulary(config: Any, model: str, reader: TokenReader) -> None:
    if reader.largest >= config.vocab_size:
        raise RequestError(
            f"backbone.model={model}: its tokenizer has tokens up to number {reader.largest}, and the model "
            f"a vocabulary of {config.vocab_size}; give a tokenizer made for this model"
        )


def _load(model: nn.Module, weights: str, name: str) -> dict[str, int]:
    """Of the file that `weights` names, or of the files of the model itself. Raises RequestError where they
    do not fit."""
    if weights == "pretrained":
        state, where = _own_weights(name), f"backbone.weights=pretrained: those of {name}"
    else:
        state, where = _of_file(weights), f"backbone.weights={weights}:"
    needed = model.state_dict()
    found = _in_names_of(state, needed, where)
    by_place = {needed[key].data_ptr(): key for key in needed if key in found}
    # a tensor that has two names, as T5's embeddings have, is kept under one
    found |= {
        key: found[by_place[tensor.data_ptr()]]
        for key, tensor in needed.items()
        if key not in found and tensor.data_ptr() in by_place
    }
    if missing := [key for key in needed if key not in found]:
        raise RequestError(
            f"{where} lack {len(missing)} of the {len(needed)} tensors of {name}, {missing[0]} among them; "
            "give weights made for this model, or random"
        )
    for key, tensor in needed.items():
        if found[key].shape != tensor.shape:
            raise RequestError(
                f"{where} have {key} of shape {list(found[key].shape)}, {name} one of {list(tensor.shape)}; "
                "give weights made for this model"
            )
        if not torch.isfinite(found[key].float()).all():
            raise RequestError(f"{where} hold values that are not finite in {key}; give whole weights")
    model.load_state_dict({key: found[key].to(tensor.dtype) for key, tensor in needed.items()})
    return {"taken": len(needed), "of": len(needed), "left_out": max(0, len(state) - len(needed))}


def _in_names_of(state: Mapping[str, Tensor], needed: Iterable[str], where: str) -> dict[str, Tensor]:
    """Weights of a larger model, whose names begin with that of the part: bert., transformer.,
    model.encoder. Of parts that fit alike the encoder is taken."""
    keys = set(needed)
    prefixes = {""} | {
        "".join(f"{part}." for part in key.split(".")[:depth])
        for key in state
        for depth in range(1, min(4, key.count(".") + 1))
    }
    fitting = {prefix: sum(prefix + key in state for key in keys) for prefix in prefixes}
    best = [prefix for prefix in sorted(prefixes) if fitting[prefix] == max(fitting.values())]
    if encoders := [prefix for prefix in best if prefix.endswith("encoder.")]:
        best = encoders
    if len(best) > 1 and fitting[best[0]]:
        raise RequestError(f"{where} hold {' and '.join(best)}, which fit alike; give weights of one model")
    found = {key: state[best[0] + key] for key in keys if best[0] + key in state}
    # where encoder and decoder share their embeddings, as BART's do, these are kept above both
    shared = state.get(f"{best[0].removesuffix('encoder.')}shared.weight")
    if shared is not None and "embed_tokens.weight" in keys:
        found.setdefault("embed_tokens.weight", shared)
    return found


def _of_file(weights: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(weights).expanduser()
    if not path.is_file():
        raise RequestError(
            f"backbone.weights={weights}: no such file; allowed: random, pretrained, or the path of a "
            f".safetensors file{nearest(weights, ('random', 'pretrained'))}"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RequestError(f"backbone.weights={weights}: cannot be read ({one_line(error)})") from error


def _own_weights(name: str) -> dict[str, Tensor]:
    transformers = library()
    source = str(Path(name).expanduser()) if is_folder(name) else name
    config = configuration(name)
    kind = (
        transformers.AutoModelForTextEncoding
        if type(config) in transformers.AutoModelForTextEncoding._model_mapping
        else transformers.AutoModel
    )
    try:
        with of_hub(name):
            model, told = kind.from_pretrained(source, output_loading_info=True, dtype=torch.float32)
    except Exception as error:
        raise RequestError(
            f"backbone.weights=pretrained: the weights of {name} could not be had "
            f"({one_line(error)}); without a "
            "network give a folder that holds them, or the path of a .safetensors file"
        ) from error
    model = model.get_encoder() if config.is_encoder_decoder and kind is transformers.AutoModel else model
    if lacking := [key for key in told["missing_keys"] if "pooler" not in key]:
        raise RequestError(
            f"backbone.weights=pretrained: the files of {name} lack {lacking[0]}; give whole weights"
        )
    return dict(model.state_dict())


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
