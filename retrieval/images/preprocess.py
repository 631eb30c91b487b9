"""From pixels to the numbers that an encoder reads, as the processors of transformers make them with Pillow: a resized image is one of
bytes again, and only then scaled."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from retrieval.images.decoder import Pixels
from retrieval.images.limits import ImageError
from retrieval.images.settings import Exact, Fitting, Preprocessing, Shortest

WHOLE = 1 << 22  # pixels of a resized image that is held as a whole, also where the image itself has fewer
STRIP = 1 << 22  # pixels that are resized at once of what is larger
MOST_WORK = 1 << 27  # pixels that are made on the way to one image


def preprocess(pixels: Pixels, settings: Preprocessing) -> NDArray[np.float32]:
    """[3, height, width]. Raises ImageError for an image that is too long and narrow to be resized."""
    return normalized(_cropped(pixels, settings), settings)


def normalized(pixels: Pixels, settings: Preprocessing) -> NDArray[np.float32]:
    """The last step alone: [3, height, width]."""
    numbers = pixels.astype(np.float64).transpose(2, 0, 1)
    if settings.scale is not None:
        numbers *= settings.scale
    found = numbers.astype(np.float32)
    if settings.mean is not None and settings.std is not None:
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (settings.mean, settings.std))
        found = (found - mean) / std
    return np.ascontiguousarray(found)


def resized(height: int, width: int, rule: Shortest | Exact | Fitting | None) -> tuple[int, int]:
    """Height and width after the first step."""
    match rule:
        case None:
            return height, width
        case Exact():
            return rule.height, rule.width
        case Shortest(side=side):
            long = int(side * max(height, width) / min(height, width))
            return (long, side) if width <= height else (side, long)
        case Fitting():
            return _fitting(height, width, rule)


def _fitting(height: int, width: int, rule: Fitting) -> tuple[int, int]:
    """The scale is found by halving an interval, as SigLIP 2's makers do: another way may end in other sizes."""
    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        scale = (low + high) / 2
        rows, columns = _in_patches(height, scale, rule.patch), _in_patches(width, scale, rule.patch)
        low, high = (scale, high) if rows * columns <= rule.most else (low, scale)
    return _in_patches(height, low, rule.patch) * rule.patch, _in_patches(width, low, rule.patch) * rule.patch


def _in_patches(side: int, scale: float, patch: int) -> int:
    return max(1, ceil(side * scale / patch))


def _cropped(pixels: Pixels, settings: Preprocessing) -> Pixels:
    height, width = resized(pixels.shape[0], pixels.shape[1], settings.resize)
    crop = settings.crop
    if crop is None or height < crop.height or width < crop.width:
        whole = _scaled(pixels, (height, width), settings.filter, (slice(0, height), slice(0, width)))
        return whole if crop is None else _padded(whole, crop)
    left, top = (width - crop.width) // 2, (height - crop.height) // 2
    kept = slice(top, top + crop.height), slice(left, left + crop.width)
    return _scaled(pixels, (height, width), settings.filter, kept)


def _scaled(pixels: Pixels, size: tuple[int, int], filter: Resampling, kept: tuple[slice, slice]) -> Pixels:
    """The rows and columns that are kept of the image in its new size."""
    (height, width), (rows, columns) = size, kept
    if height * width > max(WHOLE, pixels.size):
        return _in_strips(pixels, size, filter, kept)
    return to_size(pixels, height, width, filter)[rows, columns]


def _in_strips(pixels: Pixels, size: tuple[int, int], filter: Resampling, kept: tuple[slice, slice]) -> Pixels:
    """Of a long strip that is enlarged, what a crop throws away is never held as a whole: Pillow enlarges across and then down, and rounds
    in between, so that lines and then columns may be resized some at a time."""
    (height, width), (rows, columns) = size, kept
    work = len(pixels) * width + height * (columns.stop - columns.start)
    if work > MOST_WORK or max(size) > STRIP:
        raise ImageError(f"the image is too long and narrow: {width} x {height} pixels once it is resized", "image_too_large")
    lines, beside = STRIP // width, STRIP // height
    wide = [to_size(part, len(part), width, filter)[:, columns] for part in _cut(pixels, lines)]
    across = np.concatenate(wide).swapaxes(0, 1)
    tall = [to_size(part.swapaxes(0, 1), height, len(part), filter)[rows] for part in _cut(across, beside)]
    return np.concatenate(tall, axis=1)


def _cut(pixels: Pixels, lines: int) -> list[Pixels]:
    return [pixels[at : at + lines] for at in range(0, len(pixels), lines)]


def to_size(pixels: Pixels, height: int, width: int, filter: Resampling) -> Pixels:
    """Resized as a whole."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), filter))


def _padded(pixels: Pixels, crop: Exact) -> Pixels:
    """An image that is smaller on one side at least, in the middle of black, and then cropped."""
    height, width = pixels.shape[:2]
    tall, broad = max(height, crop.height), max(width, crop.width)
    canvas = np.zeros((tall, broad, pixels.shape[2]), np.uint8)
    above, beside = ceil((tall - height) / 2), ceil((broad - width) / 2)
    canvas[above : above + height, beside : beside + width] = pixels
    top, left = (height - crop.height) // 2 + above, (width - crop.width) // 2 + beside
    return canvas[max(0, top) : top + crop.height, max(0, left) : left + crop.width]
