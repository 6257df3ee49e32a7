"""decoding.py: pixels as a person sees them."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferscope.data import image_folders
from transferscope.data.decoding import decode_squares, white_of
from transferscope.errors import RequestError

SIZE = 8
INK = np.pad(np.full((4, 4), 255, np.uint8), 2)  # alpha of a square in the middle


def decoded(image: Image.Image, channels: int = 1, **options) -> np.ndarray:
    """uint8 [C, 8, 8]"""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return decode_squares([("x.png", lambda: io.BytesIO(file.getvalue()))], SIZE, channels)[0].numpy()


def drawing(mode: str, ink: int) -> Image.Image:
    rgba = Image.fromarray(np.stack([np.full_like(INK, ink)] * 3 + [INK], -1))
    if mode != "P":
        return rgba.convert(mode)
    image = Image.fromarray((INK > 0).astype(np.uint8)).convert("P")
    image.putpalette([ink] * 6)  # one colour, twice: all shape is in what is transparent
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (90, 255), (255, 0), (252, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_ink_on_transparent_stays_visible(mode: str, ink: int, ground: int, channels: int) -> None:
    found = decoded(drawing(mode, ink), channels, **({"transparency": 0} if mode == "P" else {}))
    assert (found == np.where(INK, ink, ground)).all()


def test_half_transparent_is_half_white() -> None:
    image = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 128))
    image.putpixel((0, 0), (0, 0, 0, 255))
    found = decoded(image)[0]
    assert found[0, 0] == 0 and found[1, 1] == 127


def test_a_colour_that_stands_for_transparent() -> None:
    pixels = np.where(INK[..., None], np.uint8([10, 20, 30]), np.uint8([1, 2, 3])).astype(np.uint8)
    assert decoded(Image.fromarray(pixels), 3, transparency=(1, 2, 3))[:, 0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_opaque_picture_is_the_one_without_alpha(mode: str, channels: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    plain = Image.fromarray(noise).convert(mode.removesuffix("A"))
    assert np.array_equal(decoded(plain.convert(mode), channels), decoded(plain, channels))


def test_inverted_inks_of_print_are_converted() -> None:
    file = io.BytesIO()
    Image.new("CMYK", (SIZE, SIZE), (0, 255, 255, 0)).save(file, "JPEG")
    red, green, blue = decode_squares([("x", lambda: io.BytesIO(file.getvalue()))], SIZE, 3)[
        0, :, 0, 0
    ].tolist()
    assert red > 200 and green < 60 and blue < 60


def greys(root: Path, name: str, *values: int, mode: str = "uint16") -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tile(np.array(values, mode), (len(values), 1))).save(file)


@pytest.mark.parametrize(
    ("largest", "white"),
    [(65535, 65535), (40000, 65535), (4095, 4095), (3000, 4095), (1023, 1023), (200, 255)],
)
def test_one_stretch_for_the_sixteen_bit_greys_of_a_folder(
    largest: int, white: int, tmp_path: Path, capsys
) -> None:
    greys(tmp_path, "dog/bright.png", largest, 0)
    greys(tmp_path, "cat/dark.tif", largest // 2, largest // 4)
    greys(tmp_path, "cat/eight.png", 7, 200, mode="uint8")
    for _ in range(2):  # the second comes from what was kept
        domain = image_folders.load("mine", str(tmp_path), size=2, channels=1)
        found = dict(zip(domain.ids, domain.inputs[:, 0, 0].tolist(), strict=True))
        shift = white.bit_length() - 8
        assert found == {"dog/bright.png": [largest >> shift, 0],
            "cat/dark.tif": [largest // 2 >> shift, largest // 4 >> shift],
                         "cat/eight.png": [7, 200]}  # fmt: skip
        assert domain.white == white
    assert f"16-bit greys: 0 to {white} became 0 to 255" in capsys.readouterr().err


def test_pictures_of_eight_bits_have_no_white(tmp_path: Path, capsys) -> None:
    greys(tmp_path, "dog/1.png", 1, 2, mode="uint8")
    greys(tmp_path, "cat/1.png", 1, 2, mode="uint8")
    assert image_folders.load("mine", str(tmp_path), size=2).white is None and capsys.readouterr().err == ""


def test_thirty_two_bits_are_read_where_sixteen_hold_them(tmp_path: Path) -> None:
    greys(tmp_path, "x.tif", 0, 4000, mode="int32")
    assert white_of([("x", partial(open, tmp_path / "x.tif", "rb"))]) == 4095
    for odd in (-1, 70000):
        greys(tmp_path, "x.tif", 0, odd, mode="int32")
        with pytest.raises(RequestError, match="x: cannot be decoded .*32 bits"):
            white_of([("x", partial(open, tmp_path / "x.tif", "rb"))])


def test_ordinary_pictures_keep_their_bits(tmp_path: Path) -> None:
    """The digest of before links, transparency and deep greys were looked at: runs are told apart by it."""
    draw = np.random.default_rng(0)
    for name in ("cat", "dog", "Cat 2"):
        for number in range(4):
            file = tmp_path / name / ("deep" if number == 3 else "") / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(
                draw.integers(0, 256, (14, 17, 3) if number % 2 else (17, 14), dtype=np.uint8)
            ).save(file)
    full = np.full((9, 9), 128 * 257, np.uint16)
    full[0] = 65535
    Image.fromarray(full).save(tmp_path / "dog" / "deep16.png")
    colour, grey = (
        image_folders.load("mine", str(tmp_path), size, channels=channels)
        for size, channels in ((8, 3), (12, 1))
    )
    assert (
        colour.digest == "0949f6a6f9e0ec16cee6135c95b5252e"
        and grey.digest == "c2946be69904ebdd06f74775030f4658"
    )
