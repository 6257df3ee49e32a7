"""P19 and P20: texts. Features of a frozen encoder beside a bare loop of transformers, fine-tuning beside
Hugging Face's Trainer, both in fp32."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from benchmarks.bars import Bar, ratio, rounds
from benchmarks.runs import scratch_folder
from transferscope.backbones.tokenizers import tokenizer_of
from transferscope.backbones.transformer import Transformer
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.training.feature_cache import FrozenFeatures
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

TEXTS, LONGEST, BATCH, ROUNDS = 512, 256, 32, 3
STEPS, SHORT = 60, 64  # of fine-tuning, and its tokens a text


def reviews(number: int, words: float) -> list[str]:
    """Made-up texts whose lengths vary as those of reviews do, around `words`, of 20,000 words as frequent as
    words are."""
    draw = np.random.default_rng(0)
    names = np.array(["".join(draw.choice(list("abcdefghijklmnoprstuvw"), 3 + n % 6)) for n in range(20_000)])
    lengths = np.exp(np.log(words) + 0.7 * draw.standard_normal(number)).astype(int).clip(4)
    return [" ".join(names[draw.zipf(1.2, length) % len(names)]) for length in lengths]


def encoder(folder: Path, texts: list[str], vocabulary: int, **shape: int) -> str:
    """A folder with a BERT of random weights and a tokenizer."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", unk_token="[UNK]").save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(vocab_size=vocabulary, **shape)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def bare(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    features = []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            texts[start : start + BATCH],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        )
        states, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
        features.append((states * mask).sum(1) / mask.sum(1))
    return torch.cat(features)


def features() -> Iterator[Bar]:
    texts = reviews(TEXTS, 110)
    with scratch_folder() as folder:
        name = encoder(folder / "model", texts, 8000, hidden_size=384, num_hidden_layers=6,
                       num_attention_heads=12, intermediate_size=1536)  # fmt: skip
        backbone = Transformer((1,), name, "pretrained", max_tokens=LONGEST).eval()
        reader = tokenizer_of(name, LONGEST)
        ordered = sorted(texts, key=len)
        turn = count()

        def ours(store: Path) -> Tensor:
            rows = reader.read([(text,) for text in texts]).rows(np.arange(len(texts)))
            return FrozenFeatures(store)(backbone, rows, "cpu")

        apart = (ours(folder / "warm") - bare(backbone.model, reader.tokenizer, texts)).abs().max()
        if not apart < 1e-4:
            raise ValueError(f"not the features of the bare loop: {apart:.1e} apart")
        arms: dict[str, Callable[[], object]] = {
            "bare": lambda: bare(backbone.model, reader.tokenizer, texts),
            "sorted": lambda: bare(backbone.model, reader.tokenizer, ordered),
            "first": lambda: ours(folder / str(next(turn))),
            "second": lambda: ours(folder / "warm"),
        }
        times = rounds(arms, ROUNDS)
    what = f"{TEXTS} texts, 6 x 384, features"
    yield ratio("P19a", ">=", 0.95, times, "bare", "first", f"{what}: bare loop of transformers / ours")
    yield ratio("P19b", "", None, times, "sorted", "first", f"{what}: the same on sorted texts / ours")
    yield ratio("P19c", ">=", 20, times, "bare", "second", f"{what}: bare loop / our second strategy")


def tuning() -> Iterator[Bar]:
    texts = reviews(512, 60)
    labels = torch.arange(len(texts)) % 2
    with scratch_folder() as folder:
        name = encoder(folder / "model", texts, 8000, hidden_size=128, num_hidden_layers=2,
                       num_attention_heads=2, intermediate_size=512)  # fmt: skip
        reader = tokenizer_of(name, SHORT)
        rows = reader.read([(text,) for text in texts]).rows(np.arange(len(texts)))
        items = [
            {**{key: value[:SHORT] for key, value in reader.tokenizer(text).items()}, "labels": int(label)}
            for text, label in zip(texts, labels, strict=True)
        ]

        def trainer() -> None:
            arguments = TrainingArguments(output_dir=str(folder / "trainer"), max_steps=STEPS, use_cpu=True,
                per_device_train_batch_size=BATCH, learning_rate=1e-3, lr_scheduler_type="cosine",
                save_strategy="no", report_to=[], disable_tqdm=True, logging_strategy="no")  # fmt: skip
            model = AutoModelForSequenceClassification.from_pretrained(name)
            Trainer(model, arguments, train_dataset=items, processing_class=reader.tokenizer).train()

        def ours() -> None:
            network = Classifier(Transformer((1,), name, "pretrained", max_tokens=SHORT), 2)
            pools = Pools(target=LabelledData(rows, labels, torch.zeros(len(labels))))
            adamw = partial(torch.optim.AdamW, lr=1e-3, fused=True)
            settings = FitSettings(STEPS, BATCH, 1, adamw, "cosine", "cpu", "32-true")
            fit(FineTuning(network), pools, {}, settings, (0, "bench"))

        ours()  # what only a process's first fit pays
        trainer()
        times = rounds({"trainer": trainer, "ours": ours}, ROUNDS)
    note = f"BERT 2 x 128, {STEPS} steps of {BATCH} texts: Hugging Face's Trainer / ours"
    yield ratio("P20", ">=", 1.0, times, "trainer", "ours", note)


def bars() -> Iterator[Bar]:
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    yield from features()
    yield from tuning()
