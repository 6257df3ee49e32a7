"""Encoders of transformers (https://github.com/huggingface/transformers): configuration, random weights, and
weights loaded into them. Refuses what is no model of texts, or does not fit."""

import inspect
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from transferscope.backbones.hub import one_line
from transferscope.backbones.tokenizers import TokenReader, is_folder, library, of_hub
from transferscope.errors import RequestError, nearest


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


def random_encoder(config: Any) -> nn.Module:
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


def check_length(model: nn.Module, name: str, max_tokens: int) -> None:
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


def check_mask(model: nn.Module, name: str) -> None:
    """That a model can be told which tokens are padding: of one that cannot, as FNet, a text's features would
    depend on the texts beside it."""
    if "attention_mask" not in inspect.signature(model.forward).parameters:
        raise RequestError(
            f"backbone.model={name}: {cast(Any, model.config).model_type} does not tell padding from texts; "
            "give a model with an attention mask"
        )


def check_vocabulary(config: Any, model: str, reader: TokenReader) -> None:
    if reader.largest >= config.vocab_size:
        raise RequestError(
            f"backbone.model={model}: its tokenizer has tokens up to number {reader.largest}, and the model "
            f"a vocabulary of {config.vocab_size}; give a tokenizer made for this model"
        )


def load_weights(model: nn.Module, weights: str, name: str) -> dict[str, int]:
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
