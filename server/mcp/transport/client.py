"""From MCP to our own words. Imports `mcp`, which takes a second: import this where a connection is opened."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, Literal, NamedTuple, cast

from mcp import Client, MCPError
from mcp.client.session import IncomingMessage, MessageHandlerFnT
from mcp.client.subscriptions import SubscriptionLost
from mcp.server import MCPServer
from mcp.types import CallToolResult, PaginatedRequestParams, RequestParamsMeta, ToolListChangedNotification
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from server.core.tool_host import ToolHostError, ToolOutcome
from server.mcp.config.config import Builtin, Http, ServerSpec, Stdio
from server.mcp.sanitize import failed, failure, parting, plain
from server.mcp.session import McpSession, SessionCallbacks, SessionLost, ToolList
from server.mcp.transport.connect import Hooks, connect
from server.mcp.transport.result import outcome
from server.mcp.transport.stderr_tail import StderrTail, errors
from server.mcp.trust import tool_validation
from server.mcp.trust.output_check import Check
from server.mcp.trust.tool_validation import Json

PAGES = 100  # of one list of tools
LEGACY_SECONDS = 300.0  # that a list holds whose server neither says how long nor promises to tell of changes
LAST_WORDS = 0.5  # seconds that a dead process's last words are waited for
DEEPEST = 100  # objects within objects that arguments may have; the SDK's own servers read no more than 200
REPEAT = 5.0  # seconds between attempts to be told of changes


class McpLink:
    """Implements server.mcp.session.Link."""

    def __init__(self, spec: ServerSpec, client: Client, tail: StderrTail) -> None:
        self.spec, self.client, self.tail = spec, client, tail
        self._last: tuple[list[Json], ToolList] | None = None
        self._checks = dict[str, Check]()  # of what tools bring, by name
        client.session.validate_tool_result = self._expect_promised  # the SDK's own would hold up the event loop

    @property
    def protocol_version(self) -> str:
        return self.client.protocol_version

    @property
    def server(self) -> tuple[str, str] | None:
        known = self.client.server_info
        return (plain(known.name), plain(known.version)) if known else None

    @property
    def last_words(self) -> str:
        return self.tail.text

    @property
    def announces(self) -> bool:
        tools = self.client.server_capabilities.tools
        return tools is not None and tools.list_changed is True

    async def catalogue(self) -> ToolList:
        described, seconds = list[Json](), None
        cursors, cursor = set[str](), None
        for _ in range(PAGES):
            page = await self._page(cursor)
            described += page.tools
            seconds = page.seconds if seconds is None else min(seconds, page.seconds)
            if (cursor := page.next) is None or len(described) > tool_validation.TOOLS:
                return await self._vetted(described, self._holds(seconds))
            if cursor in cursors:
                raise ToolHostError("it lists its tools in circles: a cursor came twice")
            cursors.add(cursor)
        raise ToolHostError(f"its list of tools has more than {PAGES} pages")

    async def _vetted(self, described: list[Json], seconds: float | None) -> ToolList:
        """Looking through schemas takes its time; most lists are the same again."""
        if self._last is not None and self._last[0] == described:
            return replace(self._last[1], seconds=seconds)
        found = await asyncio.to_thread(tool_validation.catalogue, self.spec, described, seconds)
        self._last = (described, found)
        self._checks = {tool.name: Check(tool.output_schema) for tool in found.tools if tool.output_schema is not None}
        return found

    async def _expect_promised(self, name: str, result: CallToolResult) -> None:
        """Raises RuntimeError: the structured content is not what the tool's output schema promises."""
        if (check := self._checks.get(name)) is None:
            return
        if result.structured_content is None and "structured_content" not in result.model_fields_set:
            raise RuntimeError(f"{name} promises structured content, and brought none")
        if (wrong := await asyncio.to_thread(check.wrong, result.structured_content)) is not None:
            raise RuntimeError(f"the structured content of {name} is not as promised: {wrong}")

    async def _page(self, cursor: str | None) -> "_Page":
        """Not through the client's cache: whoever asks here wants to know how it is now."""
        try:
            page = await self.client.session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor is not None else None)
            described: list[Json] = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in page.tools]
        except MCPError as error:
            raise (self._lost() if _gone(error) else ToolHostError(error.message)) from error
        except Exception as error:  # of validators, which have many
            raise ToolHostError(f"its list of tools is none: {failure(error)}") from error
        return _Page(described, page.ttl_ms / 1000, page.next_cursor)

    def _holds(self, seconds: float) -> float | None:
        """ttlMs, as of MCP 2026-07-28. Before that there was none: until the server tells of a change, where it does that."""
        if isinstance(self.spec.target, Builtin):
            return None
        if self.client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return seconds
        return None if self.announces else LEGACY_SECONDS

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> ToolOutcome:
        if (wrong := _unsendable(arguments)) is not None:
            return failed("protocol", f"the arguments of {name} cannot be sent: {wrong}")
        try:
            result = await self.client.call_tool(name, dict(arguments), meta=cast("RequestParamsMeta | None", meta))
        except MCPError as error:
            if _gone(error):
                raise self._lost() from error
            return failed(_kind(error), error.message or "no reason given", error.code)
        except Exception as error:  # of transports and validators, which have many
            return failed("protocol", f"the server {self.spec.label} answered what it must not: {failure(error)}")
        return outcome(result, self.spec.limits_of(name).max_output)

    async def ping(self) -> None:
        """MCP 2026-07-28 has none; there it is the question that every server answers."""
        try:
            if self.protocol_version in MODERN_PROTOCOL_VERSIONS:
                await self.client.session.send_discover(self.protocol_version)
            else:
                await self.client.session.send_ping()
        except MCPError as error:
            if _gone(error):
                raise self._lost() from error
            if _kind(error) != "protocol":
                raise ToolHostError(error.message) from error
        except Exception as error:  # of transports, which have many
            raise ToolHostError(failure(error)) from error

    def _lost(self) -> SessionLost:
        return SessionLost(f"the server {self.spec.label} went away")


class _Page(NamedTuple):
    tools: list[Json]  # as they came
    seconds: float
    next: str | None


def _unsendable(arguments: Mapping[str, Any]) -> str | None:
    """The transport would give up the whole connection over one such call."""
    try:
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "there is half a character in them (a lone surrogate)"
    except RecursionError:
        return "they are nested too deeply"
    except (ValueError, TypeError) as error:
        return plain(str(error))
    return "they are nested too deeply" if _deeper(arguments, DEEPEST) else None


def _deeper(value: Any, most: int) -> bool:
    waiting = [(0, value)]
    while waiting:
        depth, at = waiting.pop()
        if depth > most:
            return True
        inner = cast("Json", at).values() if isinstance(at, Mapping) else cast("list[Any]", at) if isinstance(at, list) else ()
        waiting.extend((depth + 1, each) for each in inner)
    return False


def _gone(error: MCPError) -> bool:
    """The second: a session of before MCP 2026-07-28 that the server has forgotten, as the SDK tells it."""
    return error.code == CONNECTION_CLOSED or (error.code == INVALID_REQUEST and error.message == "Session terminated")


def _kind(error: MCPError) -> Literal["timeout", "http", "protocol"]:
    if error.code == REQUEST_TIMEOUT:
        return "timeout"
    http = error.code == INTERNAL_ERROR and error.message == "Server returned an error response"  # the SDK's, for 4xx and 5xx
    return "http" if http else "protocol"


@asynccontextmanager
async def remote(spec: ServerSpec, target: Stdio | Http, notices: SessionCallbacks) -> AsyncGenerator[McpSession]:
    """To be entered and left in the same task. Raises LinkLost, and in groups what the transport raises."""
    tail = StderrTail()
    with errors(tail) if isinstance(target, Stdio) else nullcontext() as file:
        hooks = Hooks(message=_listener(notices), errors=file, overlong=notices.lost)
        try:
            async with connect(target, hooks) as client:
                if file is not None:
                    file.close()  # the process has it now; when it is gone, nobody has
                async with _watched(McpLink(spec, client, tail), notices) as link:
                    yield link
        except Exception as error:
            if file is None:
                raise
            file.close()
            raise SessionLost(f"{failure(error)}; {parting(await tail.complete(LAST_WORDS))}") from error


@asynccontextmanager
async def inside(spec: ServerSpec, server: MCPServer) -> AsyncGenerator[McpSession]:
    """One of our own servers, in this process."""
    async with Client(server) as client:
        yield McpLink(spec, client, StderrTail())


def _listener(notices: SessionCallbacks) -> MessageHandlerFnT:
    async def told(message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            notices.changed()

    return told


@asynccontextmanager
async def _watched(link: McpLink, notices: SessionCallbacks) -> AsyncGenerator[McpLink]:
    tasks = [asyncio.create_task(_changes(link, notices)), asyncio.create_task(_death(link, notices))]
    try:
        yield link
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _changes(link: McpLink, notices: SessionCallbacks) -> None:
    """Since MCP 2026-07-28 whoever wants to be told must ask."""
    if not link.announces or link.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return
    with suppress(MCPError, TimeoutError):  # it does not tell, after all: then the list holds as long as it says
        while True:
            with suppress(SubscriptionLost):
                async with link.client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        notices.changed()
            await asyncio.sleep(REPEAT)
            notices.changed()  # perhaps, meanwhile


async def _death(link: McpLink, notices: SessionCallbacks) -> None:
    """A process that died has closed its standard error. One that closed it on purpose still answers."""
    await link.tail.closed.wait()
    try:
        await link.catalogue()
    except SessionLost:
        notices.lost()
    except ToolHostError:
        pass
