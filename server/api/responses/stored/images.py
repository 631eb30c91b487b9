"""Images of stored items: kept once, as files, which the items name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from retrieval.records import NewFile
from server.api.responses.resolved_input import ResolvedInput
from server.core.images import image_bytes
from server.core.messages import Json
from server.core.threads import in_thread
from server.runtime.runtime import Runtime

NAME = "image"


async def with_kept_images(runtime: Runtime, resolved: ResolvedInput) -> ResolvedInput:
    """The new items with a file in the place of each image that came with them. Raises ApiError."""
    return replace(resolved, new_items=[await _kept_item(runtime, item) for item in resolved.new_items])


async def _kept_item(runtime: Runtime, item: Json) -> Json:
    name = "content" if item["type"] == "message" else "output"
    parts = item.get(name)
    if not isinstance(parts, list) or not any(_comes_along(part) for part in cast(list[Json], parts)):
        return item
    return {**item, name: await _kept_parts(runtime, cast(list[Json], parts))}


async def _kept_parts(runtime: Runtime, parts: Sequence[Json]) -> list[Json]:
    return [await _kept(runtime, part) if _comes_along(part) else part for part in parts]


def _comes_along(part: Json) -> bool:
    return part["type"] == "input_image" and (part["image_url"] or "")[:5].lower() == "data:"


async def _kept(runtime: Runtime, part: Json) -> Json:
    assert runtime.database is not None  # what is stored is stored there
    new = NewFile(owner=runtime.owner, filename=NAME, purpose="vision", expires_after=None)
    file = await in_thread(runtime.database.put_file, new, [image_bytes(part["image_url"], "input")])
    return {**part, "image_url": None, "file_id": file.id}
