"""What clients do while replicas are killed, and what they were told: each promise is looked up again at the end."""

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

MODEL = "smollm2"
PAUSE = 0.5  # seconds between what a client does and what it does next: the replica that comes back wants to load
PATIENCE = 60.0  # seconds for one request: whoever waits longer waits for ever
GONE = frozenset({"server_gone", "not_ready_loading", "not_ready_draining"})  # codes of clear errors
UNFINISHED = ("queued", "in_progress")
LINES = 6  # of a batch


class Failed(Exception):
    """A request ended with an error."""


@dataclass
class Promises:
    """What was acknowledged. Ids, and what is to be found under them."""

    files: dict[str, str] = field(default_factory=dict[str, str])  # -> SHA-256
    members: dict[str, str] = field(default_factory=dict[str, str])  # file in the store -> word that only it has
    responses: set[str] = field(default_factory=set[str])
    completions: dict[str, str] = field(default_factory=dict[str, str])  # -> text
    items: set[str] = field(default_factory=set[str])  # of the conversation
    batches: set[str] = field(default_factory=set[str])


@dataclass
class Tally:
    """`kills`: when (time.monotonic). Seconds from the last kill to: an error that a request ended with, the failure of a response in the
    background that its readers saw."""

    kills: list[float] = field(default_factory=list[float])
    requests: Counter[str] = field(default_factory=Counter[str])  # by outcome
    until_error: list[float] = field(default_factory=list[float])
    until_failed: list[float] = field(default_factory=list[float])
    problems: list[str] = field(default_factory=list[str])

    def since_kill(self) -> float:
        return time.monotonic() - self.kills[-1] if self.kills else 0.0


@dataclass(frozen=True)
class World:
    http: httpx.AsyncClient  # before all replicas
    store: str
    conversation: str
    promises: Promises = field(default_factory=Promises)
    tally: Tally = field(default_factory=Tally)
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    async def ask(self, method: str, path: str, **given: Any) -> Any:
        """The answer's JSON. Raises Failed, after it was counted; whatever is no clear error is a problem."""
        try:
            answer = await self.http.request(method, path, timeout=PATIENCE, **given)
        except httpx.TimeoutException:
            self.tally.problems.append(f"{method} {path} had no end after {PATIENCE:.0f} s")
            raise Failed from None
        except httpx.TransportError as error:
            self.failed("cut off")
            raise Failed from error
        if answer.is_success:
            self.tally.requests["answered"] += 1
            return answer.json()
        code = _code(answer)
        if code not in GONE:
            self.tally.problems.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        self.failed(f"{answer.status_code} {code}")
        raise Failed

    def failed(self, how: str) -> None:
        self.tally.requests[how] += 1
        self.tally.until_error.append(self.tally.since_kill())


def _code(answer: httpx.Response) -> str:
    try:
        return answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return "no error in the shape of the API"


async def upload(world: World) -> None:
    word = f"marker{world.rng.randrange(10**9)}x".translate(str.maketrans("0123456789", "abcdefghij"))
    content = f"{word} is a text about rivers and ice. ".encode() * world.rng.randint(1, 200)
    file = (await world.ask("POST", "/v1/files", files={"file": (f"{word}.txt", content)}, data={"purpose": "assistants"}))["id"]
    world.promises.files[file] = hashlib.sha256(content).hexdigest()
    await world.ask("POST", f"/v1/vector_stores/{world.store}/files", json={"file_id": file})
    world.promises.members[file] = word
    await asyncio.sleep(2)


async def upload_parts(world: World) -> None:
    content = world.rng.randbytes(300_000)
    new = {"bytes": len(content), "filename": "a.bin", "mime_type": "application/octet-stream", "purpose": "user_data"}
    upload = (await world.ask("POST", "/v1/uploads", json=new))["id"]
    halves = (content[:150_000], content[150_000:])
    parts = [(await world.ask("POST", f"/v1/uploads/{upload}/parts", files={"data": ("part", half)}))["id"] for half in halves]
    done = await world.ask("POST", f"/v1/uploads/{upload}/complete", json={"part_ids": parts})
    world.promises.files[done["file"]["id"]] = hashlib.sha256(content).hexdigest()
    await asyncio.sleep(2)


async def chat(world: World) -> None:
    body = _chat(world, max_tokens=24, store=True)
    made = await world.ask("POST", "/v1/chat/completions", json=body)
    world.promises.completions[made["id"]] = made["choices"][0]["message"]["content"]


async def stream(world: World) -> None:
    """A stream that is cut off says so: its last event, or the end of its body, is missing."""
    text = ""
    try:
        async with world.http.stream(
            "POST", "/v1/chat/completions", json=_chat(world, stream=True, max_tokens=64), timeout=PATIENCE
        ) as answer:
            async for piece in answer.aiter_text():
                text += piece
    except httpx.TimeoutException:
        world.tally.problems.append("a stream had no end")
        return
    except httpx.TransportError:
        world.failed("stream cut off")
        return
    if not answer.is_success:
        world.failed(f"{answer.status_code} {json.loads(text)['error']['code']}")
    elif text.rstrip().endswith("[DONE]"):
        world.tally.requests["answered"] += 1
    else:
        world.tally.problems.append(f"a stream ended as if it were whole: {text[-200:]}")


async def in_background(world: World) -> None:
    body = {"model": MODEL, "input": "Tell a story.", "background": True, "max_output_tokens": world.rng.choice((16, 100))}
    begun = await world.ask("POST", "/v1/responses", json=body)
    world.promises.responses.add(begun["id"])
    while True:
        try:
            found = await world.ask("GET", f"/v1/responses/{begun['id']}")
        except Failed:
            continue
        if found["status"] == "failed":
            world.tally.until_failed.append(world.tally.since_kill())
        if found["status"] not in UNFINISHED:
            world.tally.requests[f"background {found['status']}"] += 1
            return
        await asyncio.sleep(0.5)


async def remember(world: World) -> None:
    item = {"type": "message", "role": "user", "content": f"I say {world.rng.random()}."}
    added = await world.ask("POST", f"/v1/conversations/{world.conversation}/items", json={"items": [item]})
    world.promises.items.add(added["data"][0]["id"])
    await asyncio.sleep(0.2)


async def batch(world: World) -> None:
    body = _chat(world, max_tokens=8)
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    lines = "\n".join(json.dumps({**line, "custom_id": f"c{number}"}) for number in range(LINES)).encode()
    file = (await world.ask("POST", "/v1/files", files={"file": ("in.jsonl", lines)}, data={"purpose": "batch"}))["id"]
    world.promises.files[file] = hashlib.sha256(lines).hexdigest()
    new = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    world.promises.batches.add((await world.ask("POST", "/v1/batches", json=new))["id"])
    await asyncio.sleep(60)


def _chat(world: World, **more: Any) -> Mapping[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": f"Tell me about {world.rng.random()}."}], **more}


KINDS: tuple[Callable[[World], Awaitable[None]], ...] = (
    upload,
    upload_parts,
    chat,
    stream,
    stream,
    in_background,
    in_background,
    remember,
    batch,
)


async def forever(kind: Callable[[World], Awaitable[None]], world: World) -> None:
    """Until cancelled."""
    while True:
        with suppress(Failed):
            await kind(world)
        await asyncio.sleep(PAUSE)
