"""Encoders of transformers with few random weights, each in a folder with a tokenizer made of a few texts."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedTokenizerFast

TEXTS = [
    "A plain text.",
    "of",
    "and one that is a good deal longer than the others are, with unbelievable tokenisations",
    "the last one \N{GRINNING FACE}",
]
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
FAMILIES: dict[str, dict[str, object]] = {
    "bert": SMALL,
    "roberta": SMALL | {"pad_token_id": 1, "max_position_embeddings": 66, "type_vocab_size": 1},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "deberta-v2": SMALL | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta": SMALL | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
    "electra": SMALL | {"embedding_size": 8},
    "albert": SMALL | {"embedding_size": 8, "num_hidden_groups": 2},
    "bart": {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "max_position_embeddings": 64},
}  # fmt: skip
OF_PAIRS = ("bert", "deberta-v2")  # whose tokens say which of two texts they are of


def tokenizer(family: str = "bert", **special: str) -> PreTrainedTokenizerFast:
    """Byte pairs for GPT-2, a Unigram for T5, word pieces for the others."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if family == "t5":
        words = {f"\N{LOWER ONE EIGHTH BLOCK}{word}" for text in TEXTS for word in text.lower().split()[:9]}
        letters = set("".join(words))
        pieces = [(name, 0.0) for name in names] + [(piece, -3.0) for piece in sorted(words | letters)]
        made = Tokenizer(models.Unigram(pieces, unk_id=1))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.add_special_tokens(names)
    else:
        made = Tokenizer(
            models.BPE(unk_token="[UNK]") if family == "gpt2" else models.WordPiece(unk_token="[UNK]")
        )
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.normalizer = normalizers.Lowercase()
    if family != "t5":
        trainer = trainers.BpeTrainer if family == "gpt2" else trainers.WordPieceTrainer
        made.train_from_iterator(TEXTS, trainer(vocab_size=90, special_tokens=names, show_progress=False))
    if family == "gpt2":  # neither begin nor end, nor padding
        return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", **special)
    ends = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    if family == "t5":  # no begin, one token at the end of each
        one, pair = "$A [SEP]", "$A [SEP] $B [SEP]"
    else:
        one = "[CLS] $A [SEP]"
        pair = "[CLS] $A [SEP] $B:1 [SEP]:1" if family in OF_PAIRS else "[CLS] $A [SEP] $B [SEP]"
    made.post_processor = processors.TemplateProcessing(one, pair, ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip


def encoder(folder: Path, family: str = "bert", **changed: object) -> str:
    """The folder with a model of a family, saved as transformers saves one."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING[family](**({"vocab_size": 96} | FAMILIES.get(family, {}) | changed))
    model = AutoModel.from_config(config)
    model.save_pretrained(folder)
    tokenizer(family).save_pretrained(folder)
    return str(folder)
