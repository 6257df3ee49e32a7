"""Random changes of images: what they do to one, and how often."""

import pytest
import torch

from transferscope.data.augmentation import BY_KORNIA, augment, kornia_module


def images(size: int = 1, channels: int = 3, side: int = 16, width: int | None = None) -> torch.Tensor:
    shape = (size, channels, side, width or side)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def draws(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def uniform(size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(size, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_middle_draw_leaves_an_image_as_it_is():
    assert torch.equal(augment(images(), draws(0.5, 0.5, 0.9), "crop_flip"), images())


def test_an_image_moves_by_an_eighth_of_its_side_and_its_border_is_repeated():
    image = images()
    down = augment(image, draws(0.0, 0.5, 0.0), "crop")
    assert torch.equal(down[..., 2:, :], image[..., :-2, :]) and torch.equal(
        down[..., :2, :], image[..., :1, :].expand(-1, -1, 2, -1)
    )
    left = augment(image, draws(0.5, 0.999, 0.0), "crop")
    assert torch.equal(left[..., :-2], image[..., 2:]) and torch.equal(
        left[..., -2:], image[..., -1:].expand(-1, -1, -1, 2)
    )


def test_only_crop_flip_mirrors_and_it_mirrors_left_and_right():
    assert torch.equal(augment(images(), draws(0.5, 0.5, 0.1), "crop_flip"), images().flip(3))
    assert torch.equal(augment(images(), draws(0.5, 0.5, 0.1), "crop"), images())


def test_each_image_goes_its_own_way_with_all_its_channels():
    batch, several = images(2), torch.cat([draws(0.0, 0.0, 0.0), draws(0.99, 0.3, 0.9)])
    both = augment(batch, several, "crop_flip")
    for one in (0, 1):
        assert torch.equal(
            both[one : one + 1], augment(batch[one : one + 1], several[one : one + 1], "crop_flip")
        )
    grey = images(2, channels=1)
    assert torch.equal(
        augment(grey.expand(-1, 3, -1, -1), several, "crop"),
        augment(grey, several, "crop").expand(-1, 3, -1, -1),
    )


def test_every_shift_is_equally_likely():
    ramp = torch.arange(100, 116, dtype=torch.uint8).expand(1, 1, 16, 16)
    shifts = augment(ramp.expand(20_000, -1, -1, -1), uniform(20_000), "crop")[:, 0, 8, 8].long() - 108
    assert shifts.unique().tolist() == [-2, -1, 0, 1, 2]
    assert torch.bincount(shifts + 2).tolist() == pytest.approx([4000] * 5, rel=0.08)


@pytest.mark.parametrize(("side", "width"), [(1, 1), (8, 8), (12, 20)])
def test_type_and_shape_stay_and_no_value_is_made_up(side, width):
    batch = images(5, 3, side, width)
    moved = augment(batch, uniform(5), "crop_flip")
    assert moved.dtype == torch.uint8 and moved.shape == batch.shape
    for image, other in zip(batch, moved, strict=True):
        assert set(other.unique().tolist()) <= set(image.unique().tolist())


# --- by kornia


@pytest.mark.parametrize("augmentation", BY_KORNIA)
def test_it_follows_from_the_draws_and_leaves_the_generator_of_torch_as_it_was(augmentation):
    batch, torches = images().expand(5, -1, -1, -1), torch.get_rng_state()
    once = augment(batch, uniform(5), augmentation)
    assert torch.equal(torch.get_rng_state(), torches)
    torch.manual_seed(1)
    kornia_module.cache_clear()  # as in another process
    with torch.autocast("cpu", torch.bfloat16):  # as in a training of mixed precision
        assert torch.equal(augment(batch, uniform(5), augmentation), once)
    assert not torch.equal(augment(batch, uniform(5, seed=1), augmentation), once)
    assert (
        once.dtype == torch.uint8
        and once.shape == batch.shape
        and once.flatten(1).unique(dim=0).shape[0] == 5
    )  # each its own


@pytest.mark.parametrize("channels", [1, 3])
def test_affine_moves_scales_and_turns_within_its_bounds(channels):
    image = torch.zeros(1, channels, 64, 64, dtype=torch.uint8)
    image[..., 28:36, 16:48] = 255  # a bar in the middle
    changed = augment(image.expand(300, -1, -1, -1), uniform(300), "affine").float()
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    weight = changed[:, 0].flatten(1) / 255
    y, x = (
        place.flatten() for place in torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    )
    size, down, right = weight.sum(1), weight @ y / weight.sum(1), weight @ x / weight.sum(1)
    spread = [
        weight @ product / size - middle
        for product, middle in ((y * y, down**2), (x * x, right**2), (x * y, down * right))
    ]
    degrees = (torch.atan2(2 * spread[2], spread[1] - spread[0]) / 2).rad2deg()
    for value, middle, reach in (
        (down, 31.5, 8),
        (right, 31.5, 8),
        (degrees, 0, 10),
        ((size / 256).sqrt(), 1, 0.1),
    ):
        assert 0.9 * reach < (value - middle).abs().max() < 1.1 * reach


def test_colours_change_each_image_its_own_way():
    patch = torch.tensor([200, 60, 60], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    changed = augment(patch.expand(200, -1, -1, -1), uniform(200), "crop_flip_color").float()
    assert torch.equal(changed, changed[..., :1, :1].expand_as(changed))  # one colour stays one colour
    red, green, blue = changed[:, :, 0, 0].T
    assert (red > green).all() and (
        red > blue
    ).all()  # a tenth of a turn of hue is less than from red to yellow
    assert red.std() > 15 and (green - blue).std() > 5
