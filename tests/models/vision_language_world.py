"""Tiny random vision-language models made with transformers, and both sides' logits for tokens among which images stand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
import transformers
from torch import Tensor

from models.batch import Batch, Encoding, ImageRows
from models.crossing import LookedAt
from models.images import Picture, encode_image
from models.reference import whole
from models.spec import CrossVision, Vision, turned_ropes
from models.stacks.decoder import Decoder
from models.stacks.tiles import CrossVisionStack
from models.stacks.vision import VisionStack

NO_PICTURE: Picture = ((0, 0), (0, 0))


def make(values: Mapping[str, Any], seed: int = 0) -> Any:
    """The world's model for a config.json, with weights that let no part hide."""
    name = values["architectures"][0]
    rest = {key: value for key, value in values.items() if key not in ("architectures", "model_type")}
    config = transformers.AutoConfig.for_model(values["model_type"], **rest)
    config._attn_implementation = "eager"
    model = getattr(transformers, name)(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            fan = parameter[0].numel() if parameter.dim() > 1 else 0
            parameter.copy_(noise * fan**-0.5 if fan > 1 else parameter + 0.3 * noise)
    return model


def tiles(count: int, height: int, width: int, seed: int = 3) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def marked(tokens: Sequence[int], marker: int) -> Tensor:
    """int64 [N]: where images' rows stand."""
    return (torch.tensor(tokens) == marker).nonzero()[:, 0]


@torch.no_grad()
def logits_of(
    model: Decoder, tokens: Sequence[int], images: Sequence[Tensor], pictures: Sequence[Picture] = (), prompt: int | None = None
) -> Tensor:
    """Of every token. `prompt`: how many of them are not the answer's."""
    batch = whole([len(tokens)])
    if images and isinstance(model.arch.vision, CrossVision):
        batch = _crossed(model, batch, tokens, images, pictures)
    elif images:  # whose marker may be a token of the answer, as any other
        shown = [token if i < (prompt or len(tokens)) else -1 for i, token in enumerate(tokens)]
        batch = _showing(model, batch, shown, images, pictures or [NO_PICTURE] * len(images))
        batch = replace(batch, ends_T=_ends(cast(Vision, model.arch.vision), shown, prompt or len(tokens)))
    return model.logits(model(torch.tensor(tokens), batch))


def _crossed(model: Decoder, batch: Batch, tokens: Sequence[int], images: Sequence[Tensor], pictures: Sequence[Picture]) -> Batch:
    vision, spec = cast(CrossVisionStack, model.vision), cast(CrossVision, model.arch.vision)
    looked = LookedAt(tuple(marked(tokens, spec.marker).tolist()), tuple(len(image) * spec.patches.rows for image in images), spec.rows)
    rows_MD = looked.joined([vision(image, grid) for image, (grid, _) in zip(images, pictures, strict=True)])
    encoding = Encoding(None, whole([len(rows_MD)]), rows_MD)
    return replace(batch, inputs_S=torch.tensor([len(rows_MD)]), encoding=encoding, crossing=looked.of(0, len(tokens)))


def _showing(model: Decoder, batch: Batch, tokens: Sequence[int], images: Sequence[Tensor], pictures: Sequence[Picture]) -> Batch:
    vision, spec = cast(VisionStack, model.vision), cast(Vision, model.arch.vision)
    seen = [encode_image(vision, image, picture) for image, picture in zip(images, pictures, strict=True)]
    rows_ND, *deep = (torch.cat(parts) for parts in zip(*seen, strict=True))
    batch = replace(batch, image_rows=ImageRows(marked(tokens, spec.marker), rows_ND, tuple(deep)))
    if not turned_ropes(model.arch):
        return batch
    unit = spec.patches.size * spec.merge
    return replace(batch, places_AT=_places(tokens, spec.marker, [(image.shape[2] // unit, image.shape[3] // unit) for image in images]))


def _places(tokens: Sequence[int], marker: int, grids: Sequence[tuple[int, int]]) -> Tensor:
    """Token by token: text counts on, an image's rows have its beginning, and that plus their line, and plus their column."""
    places, number, left, place = list[tuple[int, int, int]](), 0, list(grids), 0
    for token in tokens:
        if token != marker:
            places.append((number, number, number))
            number += 1
            continue
        lines, columns = left[0]
        places.append((number, number + place // columns, number + place % columns))
        place += 1
        if place == lines * columns:
            number, place, left = number + max(lines, columns), 0, left[1:]
    return torch.tensor(places).T


def _ends(spec: Vision, tokens: Sequence[int], prompt: int) -> Tensor | None:
    """Of each token, as far as it sees."""
    match spec.sees:
        case "before":
            return None
        case "prompt":
            return torch.arange(len(tokens)).clamp(min=prompt - 1)
        case "image":
            ends, end = list[int](), len(tokens)
            for i in reversed(range(len(tokens))):
                inside = tokens[i] == spec.marker
                end = end if inside and i + 1 < len(tokens) and tokens[i + 1] == spec.marker else i
                ends.append(end)
            return torch.tensor(ends[::-1])
