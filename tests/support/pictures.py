"""Anybody's images: noise to be written as pictures or arrays, loaded through `folder:PATH`, and read back."""

import numpy as np
from PIL import Image

from minidraw import data

N = 23  # pictures, or images in an array
IMAGES = np.random.default_rng(1).integers(0, 256, (N, 6, 5, 3), np.uint8)


def noise(i: int, width: int = 9, height: int = 7) -> Image.Image:
    return Image.fromarray(np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8))


def fill(path, n: int = N, mode: str = "RGB", ending: str = ".png", size=(9, 7), **save) -> list[np.ndarray]:
    """Write n pictures, and return each as it is read back, in the order of their names: (H, W) or (H, W, 3)."""
    path.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        noise(i, *size).convert(mode).save(path / f"{i:03}{ending}", **save)
    return [np.asarray(Image.open(path / f"{i:03}{ending}")) for i in range(n)]


def pixels(dataset) -> np.ndarray:
    """Return all images, uint8 (n, C, H, W), in the order of the splits."""
    splits = (dataset.train, dataset.valid, dataset.test)
    return np.concatenate([np.rint(split.batch(np.arange(len(split))) * 255).astype(np.uint8) for split in splits])


def assert_same_images(dataset, images) -> None:
    """Assert that a data set has these images, (H, W) or (H, W, 3) each, whatever their order and split."""
    images = np.array(images)
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    found = pixels(dataset)
    assert found.shape == images.shape
    one, other = (array[np.lexsort(array.reshape(len(array), -1).T)] for array in (found, images))
    np.testing.assert_array_equal(one, other)


def sizes(dataset) -> list[int]:
    return [len(split) for split in (dataset.train, dataset.valid, dataset.test)]


def load(path, options: str = ""):
    return data.load(f"folder:{path}{options}", download=False)
