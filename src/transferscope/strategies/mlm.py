"""Masked language modelling (Devlin et al. 2019, arXiv 1810.04805), on the texts of source and target as
Gururangan et al. 2020 (arXiv 2004.10964) go on with it: an initialisation from texts without labels. It has
no yaml."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear

from transferscope.networks.classifier import Classifier
from transferscope.networks.tokens import NUMBER, PAD, SPECIAL
from transferscope.strategies.base import Batch, Strategy

CHOSEN, MASKED, RANDOM = 0.15, 0.8, 0.1  # a share of a text's tokens, and what becomes of those


class MaskedLanguageModel(Strategy):
    """min of the mean over chosen tokens i of -log softmax(E g(h_i) + b)_{x_i}, h the last hidden states of
    the text with chosen tokens changed, E the embeddings of tokens, g a layer, GELU and normalisation

    Of each text 15 % of the tokens are chosen, one at least, special ones never; of these 80 % are
    masked, 10 % become a random token, 10 % stay. They are drawn anew each time, as RoBERTa does, not
    once. g and b are thrown away afterwards. Where embeddings are narrower than hidden states g narrows
    them. The pool is the source's texts and the target's, each text as likely as any other."""

    sees = frozenset({"source_inputs"})  # the pool that holds the texts of both
    outputs: ClassVar[int] = 1  # of the head, which nothing uses

    def __init__(self, network: Classifier):
        super().__init__(network)
        encoder: Any = network.backbone  # of backbones/transformer.py
        self.encoder, self.mask = encoder, network.reader.mask
        vocabulary, width = encoder.embeddings.shape
        self.transform, self.norm = nn.Linear(encoder.features, width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        rows: Tensor = batch.source.inputs  # type: ignore[assignment]
        chosen, changed = masked(rows, self.mask, len(self.bias))
        states, _ = self.encoder.states(changed)
        chosen = chosen[:, : states.shape[1]]
        found = self.norm(gelu(self.transform(states[chosen])))
        outputs = linear(found, self.encoder.embeddings, self.bias)
        asked = (rows[:, : states.shape[1]][chosen] & NUMBER).long()
        return {"masked": cross_entropy(outputs, asked, reduction="sum") / max(1, len(asked))}


def masked(rows: Tensor, mask: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Of rows of tokens [N, L]: which are chosen, bool [N, L], and the rows with these changed, flags
    kept."""
    is_word = (rows != PAD) & ((rows & SPECIAL) == 0)
    count = (CHOSEN * is_word.sum(1)).round().clamp(min=1)
    draws = torch.rand(rows.shape, device=rows.device).masked_fill(~is_word, 2)
    ranks = draws.argsort(1).argsort(1)
    chosen = is_word & (ranks < count[:, None])
    fate = torch.rand(rows.shape, device=rows.device)
    others = torch.randint(vocabulary, rows.shape, device=rows.device, dtype=rows.dtype)
    numbers = torch.where(fate < MASKED, torch.full_like(rows, mask), others)
    changes = chosen & (fate < MASKED + RANDOM)
    return chosen, torch.where(changes, (rows & ~NUMBER) | numbers, rows)
