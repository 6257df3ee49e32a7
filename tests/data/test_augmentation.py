"""Random crops and flips: what they do to an image, and how often."""

import pytest
import torch

from transferscope.data.augmentation import augment


def images(size: int = 1, channels: int = 3, side: int = 16, width: int | None = None) -> torch.Tensor:
    shape = (size, channels, side, width or side)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def draws(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_the_middle_draw_leaves_an_image_as_it_is():
    assert torch.equal(augment(images(), draws(0.5, 0.5, 0.9), "crop_flip"), images())


def test_an_image_moves_by_an_eighth_of_its_side_and_its_border_is_repeated():
    image = images()
    down = augment(image, draws(0.0, 0.5, 0.0), "crop")
    assert torch.equal(down[..., 2:, :], image[..., :-2, :]) and torch.equal(down[..., :2, :], image[..., :1, :].expand(-1, -1, 2, -1))
    left = augment(image, draws(0.5, 0.999, 0.0), "crop")
    assert torch.equal(left[..., :-2], image[..., 2:]) and torch.equal(left[..., -2:], image[..., -1:].expand(-1, -1, -1, 2))


def test_only_crop_flip_mirrors_and_it_mirrors_left_and_right():
    assert torch.equal(augment(images(), draws(0.5, 0.5, 0.1), "crop_flip"), images().flip(3))
    assert torch.equal(augment(images(), draws(0.5, 0.5, 0.1), "crop"), images())


def test_each_image_goes_its_own_way_with_all_its_channels():
    batch, several = images(2), torch.cat([draws(0.0, 0.0, 0.0), draws(0.99, 0.3, 0.9)])
    both = augment(batch, several, "crop_flip")
    for one in (0, 1):
        assert torch.equal(both[one : one + 1], augment(batch[one : one + 1], several[one : one + 1], "crop_flip"))
    grey = images(2, channels=1)
    assert torch.equal(augment(grey.expand(-1, 3, -1, -1), several, "crop"), augment(grey, several, "crop").expand(-1, 3, -1, -1))


def test_every_shift_is_equally_likely():
    ramp = torch.arange(100, 116, dtype=torch.uint8).expand(1, 1, 16, 16)
    uniform = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shifts = augment(ramp.expand(20_000, -1, -1, -1), uniform, "crop")[:, 0, 8, 8].long() - 108
    assert shifts.unique().tolist() == [-2, -1, 0, 1, 2]
    assert torch.bincount(shifts + 2).tolist() == pytest.approx([4000] * 5, rel=0.08)


@pytest.mark.parametrize(("side", "width"), [(1, 1), (8, 8), (12, 20)])
def test_type_and_shape_stay_and_no_value_is_made_up(side, width):
    batch = images(5, 3, side, width)
    uniform = torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = augment(batch, uniform, "crop_flip")
    assert moved.dtype == torch.uint8 and moved.shape == batch.shape
    for image, other in zip(batch, moved, strict=True):
        assert set(other.unique().tolist()) <= set(image.unique().tolist())
