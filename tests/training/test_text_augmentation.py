"""Random changes of texts: what they do to the words of a row, how often, and which runs are refused them."""

from collections import Counter

import numpy as np
import pytest
import torch

from test_training import SETTINGS, bits
from tiny_encoders import encoder
from tiny_encoders import tokenizer as tiny_tokenizer
from tiny_texts import pair, trained
from transferscope.backbones import word_vectors
from transferscope.backbones.neighbours import BLOCK, NEAREST, Neighbours
from transferscope.backbones.tokenizers import TokenReader
from transferscope.backbones.words import HashedWords
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.networks.tokens import CONTINUES, NUMBER, PAD, SECOND, SPECIAL
from transferscope.strategies.target_only import TargetOnly
from transferscope.training.build_backbone import build_backbone
from transferscope.training.fit import fit
from transferscope.training.reading import reader_of
from transferscope.training.settings import Monitoring
from transferscope.training.text_augmentation import OF_TEXTS, augment_rows

SENTENCES = [
    "a plain text and the last one",
    "unbelievable tokenisations of a plain good text that is longer",
]
# several times: the subwords of the tiny tokenizer are not always the same, and some draws change little
PAIRS = [(a, b) for a in (*SENTENCES, "", "of") for b in (*SENTENCES, "one")] * 3


def drawn(size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(size, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of_reader(reader, items) -> torch.Tensor:
    return reader.read(items).rows(np.arange(len(items)))


def subwords(family: str, items=PAIRS) -> torch.Tensor:
    return of_reader(TokenReader(tiny_tokenizer(family), 64, family), items)


ROWS = {
    "bert": subwords("bert"),
    "roberta": subwords("roberta"),  # whose tokens do not say which text they are of
    "one text": subwords("bert", [(text,) for text in (*SENTENCES, "")] * 12),
    "full": subwords("bert")[:, :24],
    "hashed": of_reader(HashedWords(64, 40), PAIRS),
}
EACH = pytest.mark.parametrize("kind", ROWS)


def texts_of(row: torch.Tensor) -> list[list[tuple[int, ...]] | int]:
    """The special tokens of a row, and between them the words of each text: without the code's help."""
    parts: list[list[tuple[int, ...]] | int] = []
    second = False
    for token in row[row != PAD].tolist():
        if token & SPECIAL:
            parts.append(token)
            continue
        is_second = bool(token & SECOND)
        if not parts or isinstance(parts[-1], int) or is_second != second:
            parts.append([])
        second = is_second
        if token & CONTINUES:
            parts[-1][-1] += (token,)
        else:
            parts[-1].append((token,))
    return parts


def is_filled_from_the_left(rows: torch.Tensor) -> bool:
    there = rows != PAD
    return bool((there.long().cumprod(1).bool() == there).all())


def is_subsequence(few: list, many: list) -> bool:
    rest = iter(many)
    return all(word in rest for word in few)


def near_of(rows: torch.Tensor, seed: int = 0) -> Neighbours:
    words = int((rows & NUMBER)[rows != PAD].max()) + 1
    values = np.random.default_rng(seed).standard_normal((words, 5)).astype(np.float32)
    return Neighbours(values, np.arange(words))


# --- what each does to a row


@EACH
def test_deletion_leaves_whole_words_in_their_order_and_of_no_text_all_out(kind):
    rows, lost = ROWS[kind], 0
    for seed in range(60):
        changed = augment_rows(rows, drawn(len(rows), seed), "delete")
        assert (
            changed.shape == rows.shape and changed.dtype == rows.dtype and is_filled_from_the_left(changed)
        )
        for row, other in zip(rows, changed, strict=True):
            before, after = texts_of(row), texts_of(other)
            assert len(before) == len(after)
            for old, new in zip(before, after, strict=True):
                if isinstance(old, int):
                    assert new == old
                else:
                    assert new and is_subsequence(new, old)
                    lost += len(old) - len(new)
    assert lost


@EACH
def test_swaps_keep_the_words_of_each_text_and_what_is_special_where_it_was(kind):
    rows = ROWS[kind]
    for seed in range(60):
        changed = augment_rows(rows, drawn(len(rows), seed), "swap")
        assert is_filled_from_the_left(changed)
        places = (rows == PAD) | (rows & SPECIAL != 0)
        assert torch.equal(rows[places], changed[places])
        assert torch.equal(rows & SECOND, changed & SECOND)
        for row, other in zip(rows, changed, strict=True):
            for old, new in zip(texts_of(row), texts_of(other), strict=True):
                if isinstance(old, int):
                    continue
                assert Counter(new) == Counter(old)
                # two different places a swap; equal words may be swapped, which nobody sees
                moved = sum(a != b for a, b in zip(old, new, strict=True))
                swaps = max(1, round(0.1 * len(old))) if len(old) > 1 else 0
                assert moved == 2 * swaps or (moved < 2 * swaps and len(set(old)) < len(old))


def test_a_long_text_has_a_tenth_as_many_swaps_as_words():
    rows = torch.arange(257, dtype=torch.int32).repeat(40, 1)
    changed = augment_rows(rows, drawn(40), "swap")
    assert set((changed != rows).sum(1).tolist()) == {2 * round(0.1 * 257)}
    assert torch.equal(changed.sort(1).values, rows)
    moved = (changed != rows).float().mean(0)  # no place is preferred
    assert 0.05 < float(moved[:60].mean()) < 0.35 and 0.05 < float(moved[-60:].mean()) < 0.35


def test_neighbours_are_of_the_nearest_of_that_word_and_each_is_drawn():
    rows = of_reader(HashedWords(64, 40), PAIRS)
    near = near_of(rows)
    directions = near.values.numpy() / np.linalg.norm(near.values.numpy(), axis=1, keepdims=True)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -2)
    nearest = {word: set(np.argsort(-line)[:NEAREST].tolist()) for word, line in enumerate(cosines)}
    taken: dict[int, set[int]] = {}
    for seed in range(400):
        changed = augment_rows(rows, drawn(len(rows), seed), "neighbours", near)
        assert torch.equal(changed & ~NUMBER, rows & ~NUMBER) and torch.equal(changed == PAD, rows == PAD)
        other = changed != rows
        assert not bool((rows[other] & SPECIAL).any())
        for old, new in zip((rows[other] & NUMBER).tolist(), (changed[other] & NUMBER).tolist(), strict=True):
            taken.setdefault(old, set()).add(new)
    assert all(found <= nearest[word] for word, found in taken.items())
    assert sum(found == nearest[word] for word, found in taken.items()) > len(taken) / 2


@pytest.mark.parametrize("name", ["delete", "neighbours"])
def test_each_word_is_changed_once_in_ten_times_wherever_it_stands(name):
    rows = torch.randint(0, 900, (4000, 40), generator=torch.Generator().manual_seed(0)).int()
    rows[:, 30:] = PAD
    rows[:, :30] += torch.arange(30, dtype=torch.int32) * 1000 if name == "delete" else 0
    changed = augment_rows(rows, drawn(4000), name, near_of(rows) if name == "neighbours" else None)
    if name == "neighbours":
        share = (changed != rows)[:, :30].float().mean(0)
    else:  # which of the 30 places a number came from is in the number
        left = torch.bincount((changed[changed != PAD] // 1000).long(), minlength=30)
        share = 1 - left / 4000
    assert float(share.mean()) == pytest.approx(0.1, abs=0.004)  # four standard errors: 0.0035
    assert float((share - 0.1).abs().max()) < 0.022  # 4.6 of one place


def test_of_two_words_one_goes_or_none_and_of_one_none():
    rows = torch.tensor([[5, 6, PAD]], dtype=torch.int32).repeat(4000, 1)
    lengths = (augment_rows(rows, drawn(4000), "delete") != PAD).sum(1)
    assert set(lengths.tolist()) == {1, 2} and 0.16 < float((lengths == 1).float().mean()) < 0.22
    one = torch.tensor([[5, PAD]], dtype=torch.int32).repeat(400, 1)
    for name in ("delete", "swap"):
        assert torch.equal(augment_rows(one, drawn(400), name), one)
        nothing = torch.full((2, 3), PAD, dtype=torch.int32)
        assert torch.equal(augment_rows(nothing, drawn(2), name), nothing)


@EACH
@pytest.mark.parametrize("name", OF_TEXTS)
def test_a_row_is_changed_by_its_own_draw_alone(kind, name):
    rows, draws, near = ROWS[kind], drawn(len(ROWS[kind])), near_of(ROWS[kind])
    before = rows.clone()
    together = augment_rows(rows, draws, name, near)
    assert torch.equal(rows, before) and not torch.equal(together, rows)
    assert torch.equal(together, augment_rows(rows, draws, name, near_of(rows)))
    assert not torch.equal(together, augment_rows(rows, drawn(len(rows), 1), name, near))
    for one in range(len(rows)):
        alone = augment_rows(rows[one : one + 1], draws[one : one + 1], name, near)
        assert torch.equal(alone, together[one : one + 1])
    backwards = augment_rows(rows.flip(0), draws.flip(0), name, near)
    assert torch.equal(backwards.flip(0), together)


# --- neighbours of words


def test_neighbours_are_the_nearest_by_cosine_among_known_words():
    values = np.random.default_rng(0).standard_normal((3 * BLOCK + 7, 6)).astype(np.float32)
    values *= np.random.default_rng(1).uniform(0.1, 9, (len(values), 1)).astype(np.float32)
    known = np.setdiff1d(np.arange(len(values)), [3, 200, 390])
    directions = values / np.linalg.norm(values, axis=1, keepdims=True)
    cosines = directions.astype(np.float64) @ directions.T
    np.fill_diagonal(cosines, -2)
    cosines[:, [3, 200, 390]] = -2
    expected = np.argsort(-cosines, axis=1)[known][:, :NEAREST]
    near = Neighbours(values, known[::-1].copy())  # in whatever order they are told
    asked = torch.from_numpy(known)
    assert np.array_equal(near.of(asked), expected)
    few = Neighbours(values, known)
    assert np.array_equal(few.of(asked[[-1, 5]]), expected[[-1, 5]]) and len(few.blocks) == 2


def test_of_few_words_all_others_are_neighbours_and_of_one_itself():
    values = np.eye(3, dtype=np.float32)
    values[0] = 0  # a word without a direction
    found = Neighbours(values, np.arange(3)).of(torch.arange(3))
    assert [sorted(line) for line in found.tolist()] == [[1, 2], [0, 2], [0, 1]]
    assert Neighbours(values, np.array([1])).of(torch.tensor([1, 1])).tolist() == [[1], [1]]


# --- in a training

SMALL = ["backbone=small_transformer", "backbone.layers=1", "backbone.width=64", "backbone.buckets=64",
    "backbone.max_tokens=8", "strategy=scratch", "label_budget=3"]  # fmt: skip


def vectors(folder) -> list[str]:
    words = ["bad", "good", "so", "and", "or", "here", "there"]
    lines = [
        f"{word} {a:.3f} {b:.3f}"
        for word, (a, b) in zip(words, np.random.default_rng(0).normal(size=(7, 2)), strict=True)
    ]
    (folder / "vectors.txt").write_text("\n".join(lines))
    return ["backbone=word_vectors", f"backbone.vectors={folder / 'vectors.txt'}", "label_budget=3"]


def outputs(folder) -> dict[str, bytes]:
    with np.load(folder / "evaluations.npz", allow_pickle=False) as members:
        return {key: members[key].tobytes() for key in members if key.startswith("here/")}


@pytest.mark.parametrize("name", OF_TEXTS)
def test_an_augmented_run_is_another_one_and_the_same_bits_twice(tmp_path, name):
    words = [*vectors(tmp_path), "strategy=fine_tuning"] if name == "neighbours" else SMALL
    plain = trained(*words, store=tmp_path / "plain")
    once, again = (
        trained(*words, f"trainer.augmentation={name}", store=tmp_path / store) for store in ("a", "b")
    )
    assert once.name == again.name != plain.name
    assert outputs(once) == outputs(again)
    last = "here/test/outputs/000008"
    assert outputs(once)[last] != outputs(plain)[last]
    if name != "neighbours":  # whose source model is augmented, too
        first = "here/test/outputs/000000"
        assert outputs(once)[first] == outputs(plain)[first]


class Looking(TargetOnly):
    """Notes the batches that it learns from, and what it is evaluated on."""

    def losses(self, batch):
        self.noted = [*getattr(self, "noted", []), (batch.target.inputs, batch.target.labels)]
        return super().losses(batch)

    def predictions(self, inputs):
        self.evaluated = [*getattr(self, "evaluated", []), inputs]
        return super().predictions(inputs)


def case(name: str, folder):
    """What `fit` is given of texts whose label is in their first word, with an augmentation."""
    labels = torch.arange(12) % 3
    items = [(f"{word} and or here there",) for word in np.array(["bad", "good", "so"])[labels.numpy()]]
    [_, file, _] = vectors(folder)
    path = file.partition("=")[2]
    backbone = {"_target_": "transferscope.backbones.word_vectors.WordVectors", "vectors": path}
    if name != "neighbours":
        backbone = {"_target_": "transferscope.backbones.small_transformer.SmallTransformer", "layers": 1}
        backbone |= {"width": 64, "buckets": 64, "max_tokens": 8}
    reader = reader_of(backbone)
    rows = reader.read(items).rows(np.arange(12))
    torch.manual_seed(0)
    strategy = Looking(Classifier(build_backbone(backbone, reader.row_shape, None), 3))
    ids = np.arange(12).astype(str)
    scored = {"toy/test": EvaluationSet(rows, labels, ids, ("a", "b", "c"), None)}
    pool = Pools(target=LabelledData(rows, labels, torch.zeros(12, dtype=torch.int64)))
    return strategy, pool, scored, SETTINGS._replace(augmentation=name), (0, "test")


@pytest.mark.parametrize("name", OF_TEXTS)
def test_training_items_alone_are_changed_and_keep_their_labels(tmp_path, name):
    strategy, *given = case(name, tmp_path)
    fit(strategy, *given)
    plain, pools, scored, settings, stream = case(name, tmp_path)
    fit(plain, pools, scored, settings._replace(augmentation="none"), stream)
    changed = 0
    for (rows, labels), (others, same) in zip(strategy.noted, plain.noted, strict=True):
        assert torch.equal(labels, same)
        changed += int((rows != others).any(1).sum())
    assert changed
    known = {tuple(row) for row in scored["toy/test"].inputs.tolist()}
    assert strategy.evaluated
    assert {tuple(row) for inputs in strategy.evaluated for row in inputs.tolist()} <= known


@pytest.mark.parametrize("last", [4, 8])
@pytest.mark.parametrize("name", OF_TEXTS)
def test_a_stopped_training_resumes_bit_identical(tmp_path, name, last):
    def stop(step: int, row: dict) -> None:
        if step == last:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(*case(name, tmp_path), Monitoring(tmp_path / "run", stop))
    word_vectors._read.cache_clear()  # as in the process that takes the run up
    resumed = fit(*case(name, tmp_path), Monitoring(tmp_path / "run"))
    assert bits(resumed) == bits(fit(*case(name, tmp_path)))


# --- what is refused


def refused(*overrides: str, store) -> str:
    with pytest.raises(NotApplicable) as refusal:
        trained(*overrides, store=store)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("given", ["crop", "affine", "{_target_: torchvision.transforms.v2.GaussianBlur}"])
def test_augmentations_of_images_are_refused_for_texts(tmp_path, given):
    told = refused(*SMALL, f"trainer.augmentation={given}", store=tmp_path)
    assert "is for images, and target here holds texts; give delete, swap, neighbours or none" in told


@pytest.mark.parametrize("name", ["tfidf", "tfidf_mlp"])
def test_rows_without_words_are_refused(tmp_path, name):
    words = [f"backbone={name}", "strategy=fine_tuning", "label_budget=3", "trainer.augmentation=delete"]
    told = refused(*words, store=tmp_path)
    assert f"backbone {name} takes texts as a whole" in told and "trainer.augmentation=none" in told


def test_words_without_vectors_are_refused(tmp_path):
    told = refused(*SMALL, "trainer.augmentation=neighbours", store=tmp_path)
    assert "small_transformer has no vectors of words; use backbone=word_vectors, or" in told


def test_swaps_are_refused_where_no_order_is_read(tmp_path):
    told = refused(*vectors(tmp_path), "strategy=scratch", "trainer.augmentation=swap", store=tmp_path)
    assert "to backbone word_vectors words are the same in any order; give delete or neighbours, or" in told


@pytest.mark.parametrize("name", ["feature_extraction", "nearest_mean", "coral"])
def test_features_that_are_computed_once_are_refused(tmp_path, name):
    told = refused(*SMALL[:-2], f"strategy={name}", "label_budget=3", "trainer.augmentation=delete",
        store=tmp_path)  # fmt: skip
    assert f"strategy {name} computes features once, from texts as they are; give trainer.aug" in told


def test_so_are_layers_on_top_of_what_stays_as_it_is(tmp_path):
    above = [*vectors(tmp_path), "backbone.hidden=[4]", "trainer.augmentation=delete"]
    told = refused(*above, "strategy=fine_tuning", store=tmp_path)
    assert "what is below the layers of backbone.hidden=[4] is computed once, from texts as they are" in told
    trained(*above, "strategy=scratch", store=tmp_path)  # which trains all of it
    folder = encoder(tmp_path / "bert")
    bert = ["backbone=transformer", f"backbone.model={folder}", "backbone.weights=pretrained",
        "backbone.max_tokens=16", "+backbone.hidden=[4]"]  # fmt: skip
    told = refused(
        *bert, "strategy=target_only", "label_budget=3", "trainer.augmentation=swap", store=tmp_path
    )
    assert "backbone.hidden=[4] is computed once" in told


def test_the_items_of_the_tests_are_what_they_should_be():
    kinds = {kind: {len(texts_of(row)) for row in rows} for kind, rows in ROWS.items()}
    assert max(kinds["bert"]) == 5 and max(kinds["roberta"]) == 5 and max(kinds["hashed"]) == 3
    assert any(len(word) > 1 for row in ROWS["bert"] for part in texts_of(row) if isinstance(part, list)
               for word in part)  # fmt: skip
    assert not bool((ROWS["full"][4] == PAD).any()) and len(pair()) == 2
