"""A light streaming client: it shares the cores with the server that it measures, so it does little per token."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class RequestFailed(Exception):
    """The server answered with something else than a stream of tokens."""


@dataclass
class Reply:
    """When what came, in seconds of time.perf_counter."""

    sent: float
    stamps: list[float] = field(default_factory=list[float])  # one for each piece of text
    done: float = 0.0
    tokens: int = 0

    @property
    def ttft(self) -> float:
        return self.stamps[0] - self.sent

    @property
    def rate(self) -> float:
        """Tokens per second of the whole request."""
        return self.tokens / (self.done - self.sent)

    @property
    def gaps(self) -> list[float]:
        return [b - a for a, b in zip(self.stamps, self.stamps[1:], strict=False)]


async def complete(url: str, body: dict[str, Any], reply: Reply | None = None) -> Reply:
    """One streamed /v1/completions, on a connection of its own. `reply` may be watched while it fills. Cancelling
    closes the connection."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    reply = reply or Reply(0.0)
    try:
        reply.sent = time.perf_counter()
        writer.write(_request(where.netloc, body | {"stream": True}))
        await _head(reader)
        async for line in _lines(reader):
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                _note(reply, json.loads(line[5:]))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    reply.done = time.perf_counter()
    reply.tokens = reply.tokens or len(reply.stamps)
    if not reply.stamps:
        raise RequestFailed(f"{url} sent no token")
    return reply


def _request(host: str, body: dict[str, Any]) -> bytes:
    payload = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + payload


async def _head(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if " 200 " not in head.partition("\r\n")[0]:
        raise RequestFailed(f"{head.partition(chr(13))[0]}: {(await reader.read(500)).decode(errors='replace')}")
    if "transfer-encoding: chunked" not in head.lower():
        raise RequestFailed("expected a chunked stream")


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of a chunked body; a line may span chunks (RFC 9112, section 7.1)."""
    rest = b""
    while size := _size(await reader.readline()):
        rest += (await reader.readexactly(size + 2))[:-2]
        *lines, rest = rest.split(b"\n")
        for line in lines:
            yield line


def _size(line: bytes) -> int:
    if not line:
        raise RequestFailed("the connection ended before the stream did")
    return int(line.partition(b";")[0], 16)


def _note(reply: Reply, event: dict[str, Any]) -> None:
    if "error" in event:
        raise RequestFailed(str(event["error"]))
    if any(choice.get("text") for choice in event.get("choices") or ()):
        reply.stamps.append(time.perf_counter())
    if usage := event.get("usage"):
        reply.tokens = usage["completion_tokens"]
