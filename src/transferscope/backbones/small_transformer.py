"""A small transformer from random weights, for texts where nothing was pretrained."""

from typing import Any

from torch import nn

from transferscope.backbones.base import require_random
from transferscope.backbones.tokenizers import library
from transferscope.backbones.transformer import Transformer
from transferscope.backbones.words import HashedWords
from transferscope.errors import RequestError

HEAD = 64  # width of an attention head
BETWEEN = 4  # widths of the layer between two of the model's width


class SmallTransformer(Transformer):
    """Texts → the mean of the last hidden states of a BERT of `layers` layers [N, width].

    Words are hashed into `buckets` numbers (words.py): no vocabulary is learnt, so none leaks from texts that
    are not trained on."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        layers: int = 2,
        width: int = 128,
        buckets: int = 8192,
        max_tokens: int = 256,
        weights: str = "random",
    ):
        nn.Module.__init__(self)
        require_random("small_transformer", weights)
        if width % HEAD or min(layers, width, buckets - 2, max_tokens - 1) < 1:
            raise RequestError(
                f"backbone.layers={layers} width={width} buckets={buckets} max_tokens={max_tokens}: a width "
                f"that is a multiple of {HEAD}, 1 layer, 3 buckets and 2 tokens are the least"
            )
        transformers = library()
        config = transformers.BertConfig(
            vocab_size=buckets, hidden_size=width, num_hidden_layers=layers,
            num_attention_heads=width // HEAD, intermediate_size=BETWEEN * width,
            max_position_embeddings=max_tokens, type_vocab_size=2,
        )  # fmt: skip
        self.model = transformers.BertModel(config, add_pooling_layer=False)
        self.features, self.pooling, self.padding, self.has_types = width, "mean", 0, True
        self.put_on_top(())

    @classmethod
    def reader(cls, **arguments: Any) -> HashedWords:  # type: ignore[override]
        return HashedWords(int(arguments.get("buckets", 8192)), int(arguments.get("max_tokens", 256)))

    @classmethod
    def identity(cls, arguments: Any) -> dict[str, str]:
        return {}
