"""Tiny random encoders of images made with transformers, and ours of the same folders. A pair is one of texts and one of images."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.build import build_encoder
from models.encoders import EncoderFolder
from models.images import step_of
from models.pairs import PairFolder, open_pair
from models.reference import Reference, whole
from models.stacks.encoder import Encoder
from models.weights import load


def filled(folder: EncoderFolder) -> Encoder:
    """On the reference backend."""
    model = build_encoder(folder.arch, Reference(), context=folder.arch.context)
    load(model, folder.arch, folder.recipes, folder.tensors)
    return model


class OurPair:
    def __init__(self, directory: Path) -> None:
        self.folder: PairFolder = open_pair(directory)
        self.text, self.image = filled(self.folder.text), filled(self.folder.image)

    def scores(self, image_SE: Tensor, text_SE: Tensor) -> Tensor:
        """logits_per_image."""
        return image_SE @ text_SE.T * self.folder.scale + self.folder.offset


@torch.no_grad()
def seen(model: Encoder, images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(x_TD, y_SE) of all images in one step."""
    assert model.arch.patches is not None
    read_PI, batch = step_of(images, model.arch.patches)
    x_TD = model(read_PI, batch)
    return x_TD, model.output(x_TD, batch)


@torch.no_grad()
def read(model: Encoder, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The same of texts."""
    batch = whole([len(text) for text in texts])
    x_TD = model(torch.cat(list(texts)), batch)
    return x_TD, model.output(x_TD, batch)


def pictures(*sides: tuple[int, int], seed: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, height, width, generator=generator) for height, width in sides]
