"""Images as an encoder reads them: the patches of all images of a step behind one another, line by line. And as a vision-language model
does: rows in the places of some of its tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.batch import Batch
from models.parts.patches import cut
from models.spec import Patches
from models.stacks.vision import VisionStack

Picture = tuple[tuple[int, int], tuple[int, int]]


def step_of(images: Sequence[Tensor], spec: Patches) -> tuple[Tensor, Batch]:
    """read_PI and the batch of float32 images [channels, height, width], whose sides are multiples of a patch's, on their device; what
    is left over at the right and at the bottom is not read."""
    grids = [(image.shape[1] // spec.size, image.shape[2] // spec.size) for image in images]
    lengths = [height * width + spec.class_token for height, width in grids]
    device = images[0].device
    starts_S1 = torch.tensor([0, *lengths], device=device).cumsum(0).int()
    positions_T = torch.cat([torch.arange(length, device=device) for length in lengths])
    cached_S = torch.zeros(len(images), dtype=torch.int32, device=device)
    return torch.cat([cut(image, spec) for image in images]), Batch(positions_T, starts_S1, cached_S, grids=tuple(grids))


def encode_image(vision: VisionStack, tiles_NCHW: Tensor, picture: Picture = ((0, 0), (0, 0))) -> tuple[Tensor, ...]:
    """rows_ND of one image, and those for each of the first layers that takes some. `picture`: of one that was cut into tiles, their grid
    and its size (models/stacks/vision.py)."""
    read_PI, batch = step_of(list(tiles_NCHW), vision.spec.patches)
    rows_ND, *deep = vision(read_PI, batch)
    return vision.laid_out(rows_ND, tiles_NCHW.shape[2], picture), *deep
