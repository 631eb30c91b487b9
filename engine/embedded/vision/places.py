"""Where images stand among a prompt's tokens. T tokens, A coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api import PlacedImage, VisionInfo


@dataclass(frozen=True, eq=False)
class Places:
    """places_AT, int64 [3, prompt]: a token of the text has one number for all coordinates, one of an image its own beginning, and that
    plus its line, and plus its column; the text behind goes on after the largest (multimodal RoPE; Qwen2-VL, arXiv 2409.12191, section
    2.1). `shift`: what is added to the numbers of later tokens."""

    places_AT: NDArray[np.int64]
    shift: int

    def of(self, first: int, end: int) -> NDArray[np.int64]:
        """Of tokens of prompt and answer."""
        prompt = self.places_AT.shape[1]
        later = np.arange(max(first, prompt), max(end, prompt)) + self.shift
        return np.concatenate([self.places_AT[:, first:end], np.broadcast_to(later, (3, len(later)))], 1)


def places(tokens: int, images: Sequence[PlacedImage], unit: int) -> Places:
    """`unit`: pixels a side of what becomes one row. Every image is one tile."""
    parts, done, number = list[NDArray[np.int64]](), 0, 0
    for placed in images:
        before = placed.at - done
        parts.append(np.broadcast_to(np.arange(number, number + before), (3, before)))
        number += before
        lines, columns = (side // unit for side in placed.image.values.shape[2:])
        line_HW, column_HW = np.indices((lines, columns))
        parts.append(number + np.stack([np.zeros_like(line_HW), line_HW, column_HW]).reshape(3, -1))
        number, done = number + max(lines, columns), placed.at + placed.rows
    parts.append(np.broadcast_to(np.arange(number, number + tokens - done), (3, tokens - done)))
    places_AT = np.concatenate(parts, 1).astype(np.int64)
    return Places(places_AT, number - done)


def whole_spans(vision: VisionInfo | None, images: Sequence[PlacedImage], prompt: int) -> tuple[tuple[int, int], ...]:
    """Tokens that see one another both ways, and are computed in one step: where such a span begins and ends."""
    if vision is None or not images or vision.sees == "before":
        return ()
    return ((0, prompt),) if vision.sees == "prompt" else _runs(images)


def _runs(images: Sequence[PlacedImage]) -> tuple[tuple[int, int], ...]:
    """Images that follow one another without a token between are one."""
    spans = list[tuple[int, int]]()
    for placed in images:
        if spans and spans[-1][1] == placed.at:
            spans[-1] = (spans[-1][0], placed.at + placed.rows)
        else:
            spans.append((placed.at, placed.at + placed.rows))
    return tuple(spans)
