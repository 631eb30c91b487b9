"""A conversation in the terminal, with a server or with a model loaded for the occasion."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console

from server.api.chat_completions.endpoint import prepare
from server.api.chat_completions.types import ChatRequest
from server.core.errors import ApiError
from server.core.events import OutputDelta
from server.core.timing import NoTimings
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings

Talk = list[dict[str, str]]
Words = AsyncGenerator[tuple[str, str]]  # (thought, answer), as they come
Speaker = Callable[[Talk], Words]


@dataclass(frozen=True)
class Wish:
    message: str | None  # None: a conversation
    system: str | None
    options: dict[str, Any] = field(default_factory=dict[str, Any])  # fields of the request


@dataclass(frozen=True)
class Remote:
    url: str
    model: str | None
    key: str


class Failed(Exception):
    """The server refused; the message is meant for the person at the terminal."""


def run(wish: Wish, settings: Settings | None, remote: Remote) -> int:
    """Without settings: talks to `remote`. Returns the exit status."""
    try:
        if settings is None:
            asyncio.run(_with_server(wish, remote))
        else:
            asyncio.run(_with_model(wish, settings))
    except (Failed, ApiError, httpx.HTTPError) as error:
        print(f"stoa: {error.message if isinstance(error, ApiError) else error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _with_server(wish: Wish, remote: Remote) -> None:
    headers = {"Authorization": f"Bearer {remote.key}"} if remote.key else {}
    async with httpx.AsyncClient(base_url=remote.url.rstrip("/"), headers=headers, timeout=None) as client:
        model = remote.model or await _first_model(client)
        await _converse(wish, lambda talk: _ask(client, {"model": model, "messages": talk, "stream": True, **wish.options}))


async def _first_model(client: httpx.AsyncClient) -> str:
    answer = await client.get("/v1/models")
    if answer.status_code != 200:
        raise Failed(_reason(answer.text))
    return answer.json()["data"][0]["id"]


async def _ask(client: httpx.AsyncClient, body: dict[str, Any]) -> Words:
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            raise Failed(_reason((await answer.aread()).decode(errors="replace")))
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    raise Failed(event["error"]["message"])
                delta = event["choices"][0]["delta"]
                yield delta.get("reasoning_content", ""), delta.get("content", "")


def _reason(body: str) -> str:
    try:
        return json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return body


async def _with_model(wish: Wish, settings: Settings) -> None:
    from server.app import load
    from server.weights.cache import PullError

    try:
        runtime = await asyncio.to_thread(load, settings.model_copy(update={"embedding_model": "none"}))
    except (PullError, ValueError) as error:
        raise Failed(str(error)) from error
    try:
        await _converse(wish, lambda talk: _generate(runtime, talk, wish.options))
    finally:
        await runtime.engine.close()


async def _generate(runtime: Runtime, talk: Talk, options: dict[str, Any]) -> Words:
    body = ChatRequest.model_validate({"model": runtime.names[0], "messages": talk, **options})
    chat = await prepare(runtime, body)
    async with aclosing(chat.plan.run(NoTimings())) as arriving:
        async for _, event in arriving:
            if isinstance(event, OutputDelta):
                yield event.reasoning, event.text


async def _converse(wish: Wish, speaker: Speaker) -> None:
    console = Console(highlight=False)
    talk: Talk = [{"role": "system", "content": wish.system}] if wish.system else []
    if wish.message is not None:
        await _turn(console, speaker, talk, wish.message)
        return
    if sys.stdin.isatty():
        console.print("[dim]Ctrl-D ends the conversation.[/dim]")
    while (said := await asyncio.to_thread(_listen, console)) is not None:
        if said.strip():
            await _turn(console, speaker, talk, said)


def _listen(console: Console) -> str | None:
    try:
        return console.input("[bold cyan]> [/bold cyan]") if sys.stdin.isatty() else input()
    except EOFError:
        return None


async def _turn(console: Console, speaker: Speaker, talk: Talk, said: str) -> None:
    talk.append({"role": "user", "content": said})
    answer = ""
    async with aclosing(speaker(talk)) as words:
        async for thought, word in words:
            if thought:
                console.print(thought, end="", markup=False, style="dim", soft_wrap=True)
            console.print(word, end="", markup=False, soft_wrap=True)
            answer += word
    console.print()
    talk.append({"role": "assistant", "content": answer})
