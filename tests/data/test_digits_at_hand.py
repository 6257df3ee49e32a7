"""handwritten.py, printed.py and shifted_blobs.py: what needs no file."""

import numpy as np
import pytest
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font
from sklearn.datasets import load_digits

from transferscope.data import handwritten, printed, shifted_blobs


def test_halves_share_no_item_and_miss_none() -> None:
    first, second = handwritten.load("a", "first"), handwritten.load("b", "second")
    assert not set(first.ids) & set(second.ids)
    assert len(set(first.ids) | set(second.ids)) == 1797
    assert abs(first.labels.bincount() - second.labels.bincount()).max() <= 1


def test_a_change_keeps_items_and_labels() -> None:
    plain, rotated = handwritten.load("a", "second"), handwritten.load("b", "second", rotation=12)
    assert (plain.ids == rotated.ids).all() and (plain.labels == rotated.labels).all()
    assert (plain.inputs != rotated.inputs).any(dim=(1, 2, 3)).all()


def test_handwritten_are_scikit_learns() -> None:
    digits, domain = load_digits(), handwritten.load("a", "first")
    places = [int(i.removeprefix("digit-")) for i in domain.ids]
    assert domain.labels.tolist() == digits.target[places].tolist()
    assert np.abs(domain.inputs[:, 0].numpy() * (16 / 255) - digits.images[places]).max() < 0.05
    assert domain.inputs.max() == 255


def test_faint_is_the_same_picture_at_half_the_brightness() -> None:
    plain, faint = handwritten.load("a", "second"), handwritten.load("b", "second", contrast=0.5)
    assert (faint.inputs.float() * 2 - plain.inputs.float()).abs().max() <= 2


def test_rotation_is_counter_clockwise() -> None:
    image = np.zeros((8, 8))
    image[0, 3:5] = 200  # the middle of the upper edge
    turned = handwritten._changed(image, 90, 1.0)
    assert turned[3:5, 0].min() == 200 and turned[0, 3:5].max() == 0


def test_every_face_has_the_characters() -> None:
    for face in printed.FACES:
        font = FT2Font(f"{get_data_path()}/fonts/ttf/{face}.ttf")
        assert all(font.get_char_index(ord(c)) for c in "0123456789ABCDEFGHIJ"), face


def test_printed_characters_fill_the_image_and_are_not_cut_off() -> None:
    domain = printed.load("p", "0123456789ABCDEFGHIJ")
    ink = domain.inputs[:, 0] > 40
    longer_side = np.maximum(ink.any(1).sum(1), ink.any(2).sum(1))
    assert longer_side.min() >= 10 and longer_side.max() <= 16
    edge = domain.inputs[:, 0].clone()
    edge[:, 1:-1, 1:-1] = 0
    assert edge.amax(dim=(1, 2)).float().mean() < 50


def test_printed_groups_are_the_faces_and_each_holds_every_class() -> None:
    domain = printed.load("p", "0123456789", per_face=2)
    assert set(domain.groups) == set(printed.FACES)
    for face in printed.FACES:
        assert np.bincount(domain.labels.numpy()[domain.groups == face]).tolist() == [2] * 10


def test_printed_images_differ_and_do_not_depend_on_what_else_is_rendered() -> None:
    digits, few = printed.load("a", "0123456789"), printed.load("b", "37")
    assert len(np.unique(digits.inputs.numpy().reshape(len(digits), -1), axis=0)) == len(digits)
    kept = np.isin(digits.ids, few.ids)
    assert (digits.inputs.numpy()[kept] == few.inputs.numpy()).all()


@pytest.mark.parametrize("features", [2, 8])
def test_blobs_move_by_the_shift_and_by_nothing_else(features: int) -> None:
    still, moved = (shifted_blobs.load("a", features=features, shift=s, draw=4) for s in (0.0, 3.0))
    distance = (moved.inputs - still.inputs).norm(dim=1)
    assert np.allclose(distance, 3.0, atol=1e-4)
    other = shifted_blobs.load("b", features=features, draw=5)
    assert not set(still.ids) & set(other.ids)
    for c in range(3):
        gap = still.inputs[still.labels == c].mean(0) - other.inputs[other.labels == c].mean(0)
        assert gap.abs().max() < 0.6  # four standard errors of a difference of two means of 100
