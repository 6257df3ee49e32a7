"""Printed characters rendered from the fonts that ship with matplotlib: a source without a download."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from transferscope.data.domain import Domain

# Named one by one: the other bundled faces lack digits or hold other symbols at their places (cmsy10, cmex10,
# LastResort).
FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmss10", "cmti10", "cmtt10",
)  # fmt: skip
CANVAS = 64  # pixels; drawn large, then reduced
SIZE = 16


def load(name: str, characters: str, per_face: int = 3, test_fraction: float = 0.2) -> Domain:
    """inputs uint8 [21 faces · per_face · characters, 1, 16, 16], white on black; classes the characters;
    groups the font face.

    per_face: images of each character in each face; they differ a little in size, place and angle, always in
    the same way."""
    images, class_of, ids, groups = [], [], [], []
    for face in FACES:
        for character in characters:
            for variant in range(per_face):
                images.append(_render(face, character, variant))
                class_of.append(character)
                ids.append(f"{face}-{character}-{variant}")
                groups.append(face)
    return Domain.build(
        name,
        torch.from_numpy(np.stack(images)[:, None]),
        class_of,
        ids,
        test_fraction=test_fraction,
        groups=groups,
    )


def _render(face: str, character: str, variant: int) -> np.ndarray:
    """uint8 [16, 16]; the variation is drawn from what the image shows, so that one image never depends on
    another."""
    generator = np.random.default_rng([FACES.index(face), ord(character), variant])
    extent = generator.uniform(44, 55)  # of the character's longer side, in canvas pixels
    angle = generator.uniform(-5, 5)  # degrees
    dx, dy = generator.uniform(-2, 2, size=2)  # 55 · (cos 5° + sin 5°) / 2 + 2 < 32: nothing is cut off
    left, top, right, bottom = _font(face, CANVAS).getbbox(character)
    font = _font(face, CANVAS * extent / max(right - left, bottom - top))
    left, top, right, bottom = font.getbbox(character)
    canvas = Image.new("L", (CANVAS, CANVAS))
    corner = ((CANVAS - left - right) / 2 + dx, (CANVAS - top - bottom) / 2 + dy)
    ImageDraw.Draw(canvas).text(corner, character, fill=255, font=font)
    canvas = canvas.rotate(angle, Image.Resampling.BILINEAR)
    return np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX))


def _font(face: str, size: float) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
