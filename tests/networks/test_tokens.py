"""Rows of tokens: as they lie, as they are passed through a network, and in which order they come back."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tiny_encoders import encoder
from transferscope.backbones.transformer import Transformer
from transferscope.networks.tokens import PAD, STEP, Tokens, by_length, frozen, lengths, passes, trimmed
from transferscope.training.feature_cache import FrozenFeatures

LENGTHS = [3, 20, 1, 8, 9, 3, 31, 17]


def some() -> Tensor:
    texts = [[100 * place + at for at in range(length)] for place, length in enumerate(LENGTHS)]
    return Tokens.of(texts, 32).rows(np.arange(len(texts)))


def total(rows: Tensor) -> Tensor:
    return torch.where(rows == PAD, 0, rows).sum(1, keepdim=True).double()


def test_rows_of_any_items_in_any_order_are_padded_on_the_right_and_cut_at_their_width():
    tokens = Tokens.of([[1, 2], [3, 4, 5, 6], [7]], 3)
    assert tokens.rows(np.array([1, 2, 1, 0])).tolist() == [[3, 4, 5], [7, PAD, PAD], [3, 4, 5], [1, 2, PAD]]
    assert tokens.cut.tolist() == [False, True, False]
    assert len(tokens) == 3 and tokens.rows(np.array([], dtype=np.int64)).shape == (0, 3)


@pytest.mark.parametrize("longest, width", [(1, 8), (8, 8), (9, 16), (31, 32)])
def test_columns_that_no_text_reaches_are_left_out(longest, width):
    rows = Tokens.of([[0], [5] * longest], 40).rows(np.arange(2))
    assert torch.equal(trimmed(rows), rows[:, :width])


@pytest.mark.parametrize("tokens", [1, 16, 64, 10_000])
def test_passes_hold_every_item_once_and_no_more_tokens_than_they_may(tokens):
    parts = list(passes(np.array(LENGTHS), tokens))
    assert sorted(np.concatenate([items for items, _ in parts])) == list(range(len(LENGTHS)))
    assert [width for _, width in parts] == sorted((width for _, width in parts), reverse=True)
    for items, width in parts:
        assert len(items) == 1 or len(items) * width <= tokens
        assert all(width - STEP < LENGTHS[item] <= width for item in items)


@pytest.mark.parametrize("through", [frozen, by_length])
def test_outputs_come_back_in_the_order_of_the_items(through):
    rows = some()
    assert lengths(rows).tolist() == LENGTHS
    assert torch.equal(through(total, rows, "cpu"), total(rows).float())


def test_features_are_the_same_bits_whichever_texts_ask_first_and_are_computed_once(tmp_path):
    backbone = Transformer((1,), encoder(tmp_path / "bert"), max_tokens=32).eval().requires_grad_(False)
    rows = some().clamp(max=90)
    whole = FrozenFeatures(tmp_path / "a")(backbone, rows, "cpu")
    other = FrozenFeatures(tmp_path / "b")
    parts = [other(backbone, rows[items], "cpu") for items in ([7, 2], [6, 0, 1], [3, 4, 5])]
    assert torch.equal(torch.cat(parts), whole[[7, 2, 6, 0, 1, 3, 4, 5]])
    given: list[int] = []
    backbone.register_forward_hook(lambda _, inputs, __: given.append(len(inputs[0])))
    assert torch.equal(FrozenFeatures(tmp_path / "a")(backbone, rows.flip(0), "cpu"), whole.flip(0))
    assert given == [2]  # the noise that a backbone is known by
