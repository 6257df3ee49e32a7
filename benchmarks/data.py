"""P4: augmented batches from images in memory, beside torchvision on PIL images in the process."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.bars import Bar, ratio, rounds
from transferscope.backbones.base import scale_images
from transferscope.data.augmentation import augment

ITEMS, BATCH, SIDE, ROUNDS = 2000, 64, 28, 5


class Pictures(Dataset):
    """The textbook's, as torchvision.datasets.MNIST: an array made a PIL image when it is asked for, moved by
    up to an eighth of its side, mirrored, made a tensor, normalised."""

    def __init__(self, images: torch.Tensor):
        self.images = images[:, 0]
        moved, mirrored = transforms.RandomCrop(SIDE, padding=SIDE // 8), transforms.RandomHorizontalFlip()
        self.change = transforms.Compose(
            [moved, mirrored, transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: int) -> torch.Tensor:
        return self.change(Image.fromarray(self.images[item].numpy()))


def bars() -> Iterator[Bar]:
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    images = torch.from_numpy(draw.integers(0, 256, (ITEMS, 1, SIDE, SIDE), dtype=np.uint8))
    loader = DataLoader(Pictures(images), BATCH, shuffle=True)

    def theirs() -> None:
        for _ in loader:
            pass

    def ours() -> None:
        for items in torch.from_numpy(draw.permutation(ITEMS)).split(BATCH):
            moves = torch.from_numpy(draw.random((len(items), 3)))
            scale_images(augment(images[items], moves, "crop_flip"))

    note = f"grey images of {SIDE} pixels, crop and flip, normalised: torchvision on PIL, 0 workers / ours"
    yield ratio("P4", ">=", 25, rounds({"theirs": theirs, "ours": ours}, ROUNDS), "theirs", "ours", note)
