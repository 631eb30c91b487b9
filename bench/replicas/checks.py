"""Whether what clients were told is so, once the killing is over."""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from bench.replicas.clients import LINES, UNFINISHED, World

SETTLING = 600.0  # seconds until all work must be done
KILLED_TOO_OFTEN = "times without a result"  # in the reason of a file whose readers were killed three times


async def check(world: World) -> AsyncGenerator[str]:
    """What is wrong."""
    await _settled(world)
    for problems in (_files(world), _members(world), _responses(world), _completions(world), _items(world), _batches(world)):
        async for problem in problems:
            yield problem


async def _settled(world: World) -> None:
    """Files that were given up since their readers were killed too often are queued once more."""
    deadline = time.monotonic() + SETTLING
    while time.monotonic() < deadline:
        counts = (await world.ask("GET", f"/v1/vector_stores/{world.store}"))["file_counts"]
        if not counts["in_progress"] and not counts["failed"]:
            return
        for file in (await world.ask("GET", f"/v1/vector_stores/{world.store}/files?filter=failed"))["data"]:
            assert KILLED_TOO_OFTEN in file["last_error"]["message"], file
            world.tally.requests["file read again"] += 1
            await world.ask("POST", f"/v1/vector_stores/{world.store}/files", json={"file_id": file["id"]})
        await asyncio.sleep(1)


async def _files(world: World) -> AsyncGenerator[str]:
    for file, digest in world.promises.files.items():
        answer = await world.http.get(f"/v1/files/{file}/content", timeout=60)
        if not answer.is_success or hashlib.sha256(answer.content).hexdigest() != digest:
            yield f"{file} is not what was uploaded: {answer.status_code}"


async def _members(world: World) -> AsyncGenerator[str]:
    for file, word in world.promises.members.items():
        found = await world.ask("POST", f"/v1/vector_stores/{world.store}/search", json={"query": word, "max_num_results": 3})
        if file not in {hit["file_id"] for hit in found["data"]}:
            yield f"{file} is not found by its word"


async def _responses(world: World) -> AsyncGenerator[str]:
    for id in world.promises.responses:
        found = await _last(world, f"/v1/responses/{id}", UNFINISHED)
        if found["status"] in UNFINISHED:
            yield f"{id} is still {found['status']}"
        if found["status"] == "failed" and "has died" not in found["error"]["message"]:
            yield f"{id} failed: {found['error']}"


async def _completions(world: World) -> AsyncGenerator[str]:
    for id, text in world.promises.completions.items():
        found = await world.ask("GET", f"/v1/chat/completions/{id}")
        if found["choices"][0]["message"]["content"] != text:
            yield f"{id} has another text"


async def _items(world: World) -> AsyncGenerator[str]:
    found, after = list[str](), ""
    while True:
        page: Any = await world.ask("GET", f"/v1/conversations/{world.conversation}/items?order=asc&limit=100{after}")
        found += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={found[-1]}"
    if missing := world.promises.items - set(found):
        yield f"{len(missing)} items of the conversation are gone"
    if len(set(found)) != len(found):
        yield "an item of the conversation is there twice"


async def _batches(world: World) -> AsyncGenerator[str]:
    for id in world.promises.batches:
        found = await _last(world, f"/v1/batches/{id}", ("validating", "in_progress", "finalizing"))
        files = [file for file in (found.get("output_file_id"), found.get("error_file_id")) if file]
        texts = [(await world.http.get(f"/v1/files/{file}/content", timeout=60)).text for file in files]
        lines = Counter(json.loads(line)["custom_id"] for text in texts for line in text.splitlines())
        if found["status"] != "completed" or lines != Counter(f"c{number}" for number in range(LINES)):
            yield f"{id} is {found['status']} with the lines {dict(lines)}"


async def _last(world: World, path: str, unfinished: Sequence[str]) -> Any:
    """What is there once its status is none of `unfinished`, or after SETTLING seconds."""
    deadline = time.monotonic() + SETTLING
    while (found := await world.ask("GET", path))["status"] in unfinished and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return found
