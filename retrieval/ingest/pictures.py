"""Pictures of a document become chunks of their own, each with a vector of what it shows."""

import asyncio
from collections.abc import Sequence

import numpy as np

from engine.api import QueueFull
from retrieval.api import Document, NewChunk, Picture, PictureModel, Unreadable, Vector
from retrieval.images.limits import DecoderFailed, ImageError
from retrieval.records import SeenPictures

AT_ONCE = 8  # pictures that are decoded and seen; few, so that queries do not wait long
RETRY_SECONDS = 0.05  # before retrying when the encoder's queue is full


async def look_at(model: PictureModel, document: Document) -> tuple[tuple[NewChunk, ...], SeenPictures | None]:
    """Chunks that stand for the pictures that the model can see; None where there are none. Raises Unreadable, EngineError."""
    found: list[tuple[Picture, Vector]] = []
    for first in range(0, len(document.pictures), AT_ONCE):
        some = document.pictures[first : first + AT_ONCE]
        vectors = await asyncio.gather(*(_see(model, picture) for picture in some))
        found += [(picture, vector) for picture, vector in zip(some, vectors, strict=True) if vector is not None]
    if not found:
        return (), None
    seen = SeenPictures(vectors=np.stack([vector for _, vector in found]), identity=model.identity)
    return tuple(_chunk(document, picture) for picture, _ in found), seen


def without_names(chunks: Sequence[NewChunk], document: Document) -> Sequence[NewChunk]:
    """Where a document has no text but that beside its pictures, the chunks of these hold it."""
    beside = [(picture.start, picture.end) for picture in document.pictures]
    return () if all(any(start <= new.start and new.end <= end for start, end in beside) for new in chunks) else chunks


async def _see(model: PictureModel, picture: Picture) -> Vector | None:
    """None: it is too long and narrow for the model."""
    while True:
        try:
            return await model.see(picture.data)
        except QueueFull:
            await asyncio.sleep(RETRY_SECONDS)
        except ImageError:
            return None
        except DecoderFailed as error:
            raise Unreadable(str(error), "server_error") from None


def _chunk(document: Document, picture: Picture) -> NewChunk:
    text = document.text[picture.start : picture.end]
    return NewChunk(text=text, start=picture.start, end=picture.end, page=picture.page, headings=picture.headings, picture=picture)
