"""Makes a picture with a running server, over HTTP."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx

from server.cli.imagine.command import ImageServer, Imagine, ImagineCommand, Imagined, ImagineFailed
from server.cli.imagine.progress import Bar

CONNECT_SECONDS = 10.0  # nothing limits how long the answer takes
PARTIAL = 3  # pictures on the way, which tell how far it is


@asynccontextmanager
async def open_remote(command: ImagineCommand, server: ImageServer) -> AsyncGenerator[Imagine]:
    """Raises httpx.HTTPError, ImagineFailed."""
    headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(base_url=server.url.rstrip("/"), headers=headers, timeout=timeout) as http:
        yield partial(_imagine, http, command, server.model)


async def _imagine(http: httpx.AsyncClient, command: ImagineCommand, model: str | None, bar: Bar) -> Imagined:
    bar.move(0, PARTIAL + 1)
    async with http.stream("POST", **_request(command, model)) as answer:
        if answer.status_code != 200:
            await answer.aread()
            raise ImagineFailed(_message(answer))
        async for event in _events(answer):
            if "error" in event:
                raise ImagineFailed(str(event["error"].get("message")))
            if event["type"].endswith(".completed"):
                return Imagined(base64.b64decode(event["b64_json"]), event.get("seed", 0), event["size"])
            bar.move(event["partial_image_index"] + 1, PARTIAL + 1)
    raise ImagineFailed("the server ended its answer without a picture")


def _request(command: ImagineCommand, model: str | None) -> dict[str, Any]:
    given = command.fields | {"model": model, "stream": True, "partial_images": PARTIAL}
    fields = {name: value for name, value in given.items() if value is not None}
    if command.image is None:
        return {"url": "/v1/images/generations", "json": fields}
    files = {"image": command.image, "mask": command.mask}
    sent = {name: (path.name, path.read_bytes()) for name, path in files.items() if path is not None}
    return {"url": "/v1/images/edits", "data": {**fields, "stream": "true"}, "files": sent}


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _message(answer: httpx.Response) -> str:
    try:
        return json.loads(answer.text)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return f"the server answered with status {answer.status_code}"
