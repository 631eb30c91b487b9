"""Shared by the MCP servers: strict tools, results, cursors, work with time limits, and running over stdio or HTTP."""

import base64
import binascii
import hashlib
import json
import os
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from types import FrameType
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, ContentBlock, ListResourcesResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError

T = TypeVar("T")
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # hosts for which the SDK itself checks the Host and Origin headers
TICK = 0.25  # seconds between progress reports
READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
HINTS: dict[CacheableMethod, CacheHint] = {
    "server/discover": CacheHint(300_000, "public"),
    "tools/list": CacheHint(300_000, "public"),
    "prompts/list": CacheHint(300_000, "public"),
    "resources/templates/list": CacheHint(300_000, "public"),
    "resources/list": CacheHint(5_000, "private"),
    "resources/read": CacheHint(0, "private"),
}


class Stopped(Exception):
    """The time limit of a call has passed, or the call was cancelled."""


class Clock:
    """Time limit and progress of a call that runs in a thread. Long-running work must call `check()` regularly."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.done = 0  # progress so far, in a unit chosen by the call
        self._began = time.monotonic()
        self._end = self._began + seconds
        self._stop = Event()

    def check(self) -> None:
        """Raises Stopped if the time is over or the clock was stopped."""
        if self.over:
            raise Stopped(f"stopped after {self.seconds:g} s; ask for less at once")

    @property
    def gone(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        return self._stop.is_set() or time.monotonic() >= self._end

    def stop(self) -> None:
        self._stop.set()


async def working(
    job: Callable[[Clock], T],
    seconds: float,
    ctx: Context[Any, Any] | None = None,
    report: Callable[[Clock], float] = lambda clock: clock.done,
) -> T:
    """Runs `job` in a thread; cancelling the call stops its clock. With a context, the value of `report` is sent as progress, when
    it grows, to clients that asked for it. Raises ToolError once the time is over."""
    clock, results = Clock(seconds), list[T | Exception]()
    try:
        async with anyio.create_task_group() as tasks:
            if ctx:
                tasks.start_soon(_report, clock, ctx, report)
            results.append(await anyio.to_thread.run_sync(_alone, job, clock, abandon_on_cancel=True))
            tasks.cancel_scope.cancel()
    finally:
        clock.stop()
    return _given(results[0])


def _alone(job: Callable[[Clock], T], clock: Clock) -> T | Exception:
    """Returns exceptions instead of raising them: a task group would wrap them."""
    try:
        return job(clock)
    except Stopped as error:
        return ToolError(str(error))
    except Exception as error:
        return error


def _given(result: T | Exception) -> T:
    if isinstance(result, Exception):
        raise result
    return result


async def _report(clock: Clock, ctx: Context[Any, Any], report: Callable[[Clock], float]) -> None:
    told = 0.0
    while True:
        await anyio.sleep(TICK)
        if (now := report(clock)) > told:
            told = now
            await ctx.report_progress(told)


class _Untitled(GenerateJsonSchema):
    """Omits generated titles, which cost tokens in each request and add no information."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def closed(fn: Callable[..., Any], title: str, annotations: ToolAnnotations = READS, name: str | None = None) -> Tool:
    """A tool for `MCPServer(tools=[...])` that rejects unknown arguments. Its description is the docstring of `fn`, its schema comes
    from the parameter annotations."""
    tool = Tool.from_function(fn, name=name, title=title, annotations=annotations, description=_unwrapped(fn.__doc__))
    base, about = tool.fn_metadata.arg_model, tool.fn_metadata
    config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    model = type(base.__name__, (base,), {"model_config": config, "__module__": base.__module__, "briefly": _BRIEFLY})
    about.arg_model = model
    tool.parameters = {"properties": {}, **_schema(TypeAdapter(model))}
    if about.output_schema:
        about.output_schema = _schema(TypeAdapter(about.output_model))
    return tool


def _schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    schema = adapter.json_schema(by_alias=True, schema_generator=_Untitled)
    schema.pop("title", None)
    for definition in schema.get("$defs", {}).values():
        definition.pop("title", None)
    return schema


def _brief(cls: type[BaseModel], value: object, handler: ModelWrapValidatorHandler[BaseModel]) -> BaseModel:
    """Shortens validation errors to the wrong arguments and the reasons, for the model to read."""
    try:
        return handler(value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)[:5])
        raise PydanticCustomError("arguments", "{wrong}", {"wrong": wrong}) from None


_BRIEFLY = model_validator(mode="wrap")(_brief)


def _unwrapped(text: str | None) -> str:
    """The text with each paragraph joined into one line."""
    return "\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def said(result: BaseModel, *blocks: ContentBlock) -> CallToolResult:
    """The result as structured content and as the same JSON in a text block, placed after `blocks`. For tools whose return type is
    `Annotated[CallToolResult, TheModel]`."""
    structured = result.model_dump(mode="json", exclude_none=True)
    text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[*blocks, TextContent(type="text", text=text)], structured_content=structured)


class BadCursor(ToolError):
    """The cursor was not issued by this server for the same request arguments."""


def next_cursor(question: object, position: list[str | int]) -> str:
    """A cursor, opaque to clients. `question`: all arguments that determine the list, JSON-serializable."""
    body = json.dumps([_digest(question), position], separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def cursor_position(question: object, cursor: str, kinds: tuple[type, ...]) -> list[Any]:
    """The position at which the next page begins. `kinds`: types of its values. Raises BadCursor: cursors are untrusted input."""
    try:
        body: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        digest, position = body
        if digest == _digest(question) and tuple(map(type, position)) == kinds:
            return cast(list[Any], position)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise BadCursor("cursor: it belongs to another question or is none of this server's; leave it out to begin again")


def _digest(question: object) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[:12]


ResourcePage = Callable[[str | None], Awaitable[ListResourcesResult]]


def resource_pages(page: ResourcePage) -> ServerMiddleware[Any]:
    """Adds pagination to resources/list, which MCPServer lacks. If `page` raises BadCursor, the error is -32602."""

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)  # validates the request; its result has the envelope of the protocol revision in use
        if ctx.method != "resources/list" or not isinstance(result, dict):
            return result
        try:
            found = await page((ctx.params or {}).get("cursor"))
        except ToolError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from None
        listed = found.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**result, **{key: listed[key] for key in ("resources", "nextCursor") if key in listed}}

    return middleware


def known_tools(tools: Sequence[Tool]) -> ServerMiddleware[Any]:
    """Makes calls of unknown tools protocol errors (-32602), as specified, instead of tool results."""
    names = {tool.name for tool in tools}

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        name = (ctx.params or {}).get("name")
        if ctx.method == "tools/call" and isinstance(name, str) and name not in names:
            raise MCPError(code=INVALID_PARAMS, message=f"Unknown tool: {name[:128]}")
        return await call_next(ctx)

    return middleware


def our_version() -> str:
    """Version of the installed package; "0" in a source tree that is not installed."""
    try:
        return version("stoa")
    except PackageNotFoundError:
        return "0"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


def address(text: str) -> Address:
    """Parses HOST:PORT of --http. Loopback only, since these servers have no authentication; `stoa serve` adds API keys."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise ArgumentTypeError(f"{text!r}: HOST:PORT is wanted, such as 127.0.0.1:8811")
    if host not in LOOPBACK:
        raise ArgumentTypeError(f"{host}: only {', '.join(LOOPBACK)}; `stoa serve` offers its servers to the network, behind API keys")
    return Address(host, int(port))


def add_http(parser: ArgumentParser) -> None:
    parser.add_argument("--http", metavar="HOST:PORT", type=address, help="Streamable HTTP at /mcp instead of stdio; loopback only")


def run(server: MCPServer[Any], http: Address | None) -> None:
    """Serves until interrupted or, over stdio, until end of input."""
    if http:
        with suppress(KeyboardInterrupt):
            server.run("streamable-http", host=http.host, port=http.port)
    else:
        signal.signal(signal.SIGINT, _interrupted)
        server.run("stdio")


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Exits at once: an exception would wait for the thread blocked on reading standard input, which cannot be interrupted."""
    sys.stderr.flush()
    os._exit(130)
