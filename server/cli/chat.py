"""`stoa chat`: a conversation in the terminal, with a running server or with a model loaded in this process."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console

from retrieval.api import KnowledgeError
from server.api.chat_completions.endpoint import prepare
from server.api.chat_completions.types import ChatRequest
from server.cli.errors import print_error
from server.core.errors import ApiError
from server.core.events import OutputDelta
from server.core.timing import NoTimings
from server.core.tool_host import ToolHostError
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings

Messages = list[dict[str, str]]
Deltas = AsyncGenerator[tuple[str, str]]  # (reasoning, text)
Generate = Callable[[Messages], Deltas]


@dataclass(frozen=True)
class ChatCommand:
    message: str | None  # None: a conversation
    system: str | None
    options: dict[str, Any] = field(default_factory=dict[str, Any])  # further fields of the request, as in the HTTP API


@dataclass(frozen=True)
class RemoteServer:
    url: str
    model: str | None  # None: the first that the server lists
    api_key: str  # "": none


class ChatFailed(Exception):
    """The message is meant for the user."""


def run_chat(command: ChatCommand, settings: Settings | None, remote: RemoteServer) -> int:
    """Settings None: talks to `remote`. Returns the exit status."""
    try:
        if settings is None:
            asyncio.run(_chat_with_server(command, remote))
        else:
            asyncio.run(_chat_with_model(command, settings))
    except (ChatFailed, ApiError, httpx.HTTPError) as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _chat_with_server(command: ChatCommand, remote: RemoteServer) -> None:
    headers = {"Authorization": f"Bearer {remote.api_key}"} if remote.api_key else {}
    async with httpx.AsyncClient(base_url=remote.url.rstrip("/"), headers=headers, timeout=None) as client:
        model = remote.model or await _first_model(client)
        await _run_conversation(
            command, lambda messages: _stream(client, {"model": model, "messages": messages, "stream": True, **command.options})
        )


async def _first_model(client: httpx.AsyncClient) -> str:
    response = await client.get("/v1/models")
    if response.status_code != 200:
        raise ChatFailed(_error_message(response.text))
    return response.json()["data"][0]["id"]


async def _stream(client: httpx.AsyncClient, body: dict[str, Any]) -> Deltas:
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            raise ChatFailed(_error_message((await response.aread()).decode(errors="replace")))
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    raise ChatFailed(event["error"]["message"])
                delta = event["choices"][0]["delta"]
                yield delta.get("reasoning_content", ""), delta.get("content", "")


def _error_message(body: str) -> str:
    try:
        return json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return body


async def _chat_with_model(command: ChatCommand, settings: Settings) -> None:
    from server.app import load_runtime
    from server.weights.cache import PullError

    try:
        alone = settings.model_copy(update={"embedding_model": "none", "transcription_model": None})
        runtime = await asyncio.to_thread(load_runtime, alone)
    except (PullError, ValueError, KnowledgeError, ToolHostError, OSError) as error:
        raise ChatFailed(str(error)) from error
    try:
        await _run_conversation(command, lambda messages: _generate(runtime, messages, command.options))
    finally:
        await runtime.close_engines()


async def _generate(runtime: Runtime, messages: Messages, options: dict[str, Any]) -> Deltas:
    body = ChatRequest.model_validate({"model": runtime.names[0], "messages": messages, **options})
    chat = await prepare(runtime, body)
    async with aclosing(chat.plan.run(NoTimings())) as events:
        async for _, event in events:
            if isinstance(event, OutputDelta):
                yield event.reasoning, event.text


async def _run_conversation(command: ChatCommand, generate: Generate) -> None:
    console = Console(highlight=False)
    messages: Messages = [{"role": "system", "content": command.system}] if command.system else []
    if command.message is not None:
        await _turn(console, generate, messages, command.message)
        return
    if sys.stdin.isatty():
        console.print("[dim]Ctrl-D ends the conversation.[/dim]")
    while (line := await asyncio.to_thread(_read_line, console)) is not None:
        if line.strip():
            await _turn(console, generate, messages, line)


def _read_line(console: Console) -> str | None:
    """None: end of input."""
    try:
        return console.input("[bold cyan]> [/bold cyan]") if sys.stdin.isatty() else input()
    except EOFError:
        return None


async def _turn(console: Console, generate: Generate, messages: Messages, user_message: str) -> None:
    """Streams the answer to the console; appends the user's message and the answer to `messages`."""
    messages.append({"role": "user", "content": user_message})
    answer = ""
    async with aclosing(generate(messages)) as deltas:
        async for reasoning, text in deltas:
            if reasoning:
                console.print(reasoning, end="", markup=False, style="dim", soft_wrap=True)
            console.print(text, end="", markup=False, soft_wrap=True)
            answer += text
    console.print()
    messages.append({"role": "assistant", "content": answer})
