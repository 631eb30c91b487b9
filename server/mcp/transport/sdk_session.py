"""Adapts a client of the MCP SDK to McpSession. Imports `mcp`, which takes a second: import this where a session is opened."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, cast

from mcp import Client, MCPError
from mcp.types import CallToolResult, PaginatedRequestParams, RequestParamsMeta
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from server.core.tool_host import ToolHostError, ToolOutcome
from server.mcp.config.server_spec import Builtin, Http, ServerSpec
from server.mcp.sanitize import describe_error, fault_outcome, sanitize
from server.mcp.session import CallNotTaken, SessionLost, ToolList
from server.mcp.transport.raw_results import raw_call_result, raw_tool_list
from server.mcp.transport.tool_result import is_error, to_tool_outcome
from server.mcp.trust import tool_validation
from server.mcp.trust.json_schema import Json, walk
from server.mcp.trust.output_validation import OutputValidator

MAX_PAGES = 100  # of one tool list
MAX_CURSOR = 64 * 1024  # characters
LISTING_SHARE = 0.5  # of the server's timeout: the pages that have come by then are taken
LEGACY_TTL_SECONDS = 300.0  # of a tool list whose server neither gives a ttl nor announces changes
SESSION_CODES = frozenset((INVALID_REQUEST, -32000, -32001))  # of errors that a server of before 2026-07-28 gives for an unknown session
SESSION_UNKNOWN = re.compile(
    r"session.*(not found|terminated|invalid|expired|unknown|required|missing)|(no valid|unknown|invalid) session|server not initialized",
    re.IGNORECASE,
)
MAX_ARGUMENT_DEPTH = 100  # nested objects and lists; servers built with the SDK read no more than 200


class SdkSession:
    """Implements server.mcp.session.McpSession."""

    def __init__(self, spec: ServerSpec, client: Client) -> None:
        self.spec, self.client = spec, client
        self._last: tuple[list[Any], ToolList] | None = None  # tool descriptions as received, and the list made of them
        self._validators = dict[str, OutputValidator]()  # by name of the tool
        client.session.validate_tool_result = _accept  # the SDK's own validation blocks the event loop, and sees the envelope

    @property
    def protocol_version(self) -> str:
        return self.client.protocol_version

    @property
    def is_modern(self) -> bool:
        """MCP 2026-07-28 or newer: stateless, with ttlMs, server/discover and subscriptions."""
        return self.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def server_info(self) -> tuple[str, str] | None:
        info = self.client.server_info
        return (sanitize(info.name), sanitize(info.version)) if info else None

    @property
    def announces_changes(self) -> bool:
        tools = self.client.server_capabilities.tools
        return tools is not None and tools.list_changed is True

    async def list_tools(self) -> ToolList:
        """A list that breaks off after its first page is taken as far as it goes."""
        described, ttl, note = list[Any](), None, None
        cursors, cursor = set[str](), None
        until = time.monotonic() + self.spec.timeout * LISTING_SHARE
        for _ in range(MAX_PAGES):
            try:
                page = await self._page(cursor)
            except ToolHostError as error:
                if cursor is None:
                    raise
                note = f"its list of tools breaks off: {error}"
                break
            described += page.tools
            ttl = page.ttl_seconds if ttl is None else min(ttl, page.ttl_seconds)
            cursors |= {cursor} if cursor is not None else set()
            cursor = page.next_cursor
            if not cursor or len(described) > tool_validation.MAX_TOOLS:  # "": what some servers send at the end
                break
            if len(cursor) > MAX_CURSOR or time.monotonic() > until:
                note = "its list of tools breaks off: " + ("a cursor is too long" if len(cursor) > MAX_CURSOR else "it takes too long")
                break
            if cursor in cursors:
                note = "it lists its tools in circles: a cursor came twice"
                break
        else:
            note = f"only the first {MAX_PAGES} pages of its list of tools are read"
        found = await self._validate_tools(described, self._ttl(ttl or 0.0))
        return found if note is None else replace(found, notes=(note, *found.notes))

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> ToolOutcome:
        if (problem := _check_arguments(arguments)) is not None:
            return fault_outcome("protocol", f"the arguments of {name} cannot be sent: {problem}")
        try:
            result = await self.client.call_tool(name, dict(arguments), meta=cast("RequestParamsMeta | None", meta))
            raw = raw_call_result(result)
            _expect_result(raw)
            await self._validate_output(name, raw)
            return await asyncio.to_thread(to_tool_outcome, raw, self.spec.limits_of(name).max_output)
        except MCPError as error:
            if self._is_forgotten(error):
                raise CallNotTaken(f"the server {self.spec.label} was restarted") from error
            if _is_disconnect(error):
                raise self._session_lost() from error
            return fault_outcome(_fault_kind(error), error.message or "no reason given", error.code)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            return fault_outcome("protocol", f"the server {self.spec.label} answered what is no result of a tool: {where}: {first['msg']}")
        except Exception as error:  # transports and validators raise many types
            return fault_outcome("protocol", f"the server {self.spec.label} answered what it must not: {describe_error(error)}")

    async def ping(self) -> None:
        """MCP 2026-07-28 has no ping; there server/discover is sent, which every server answers."""
        try:
            if self.is_modern:
                await self.client.session.send_discover(self.protocol_version)
            else:
                await self.client.session.send_ping()
        except MCPError as error:
            if _is_disconnect(error) or self._is_forgotten(error):
                raise self._session_lost() from error
            if _fault_kind(error) != "protocol":
                raise ToolHostError(error.message) from error
        except Exception as error:  # transports raise many types
            raise ToolHostError(describe_error(error)) from error

    async def _page(self, cursor: str | None) -> "_Page":
        """Bypasses the client's cache: ToolListCache has decided that the list must be fetched."""
        try:
            page = await self.client.session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor is not None else None)
            tools = raw_tool_list(page).get("tools")
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND:
                return _Page([], 0.0, None)  # a server of resources or prompts alone
            lost = _is_disconnect(error) or self._is_forgotten(error)
            raise (self._session_lost() if lost else ToolHostError(error.message)) from error
        except Exception as error:  # validators raise many types
            raise ToolHostError(f"its list of tools is none: {describe_error(error)}") from error
        if not isinstance(tools, list):
            raise ToolHostError("its list of tools is none: there is no list in it")
        return _Page(cast("list[Any]", tools), page.ttl_ms / 1000, page.next_cursor)

    async def _validate_tools(self, described: list[Any], ttl_seconds: float | None) -> ToolList:
        """Validation is slow, and most lists are equal to the last one: that is reused."""
        if self._last is not None and self._last[0] == described:
            return replace(self._last[1], ttl_seconds=ttl_seconds)
        tool_list = await asyncio.to_thread(tool_validation.validate_tools, self.spec, described, ttl_seconds)
        self._last = (described, tool_list)
        self._validators = {tool.name: OutputValidator(tool.output_schema) for tool in tool_list.tools if tool.output_schema is not None}
        return tool_list

    def _ttl(self, seconds: float) -> float | None:
        """`seconds`: ttlMs of MCP 2026-07-28. Older revisions have none: there the list is valid until the server announces a change,
        or for LEGACY_TTL_SECONDS where it announces none."""
        if isinstance(self.spec.target, Builtin):
            return None
        if self.is_modern:
            return seconds
        return None if self.announces_changes else LEGACY_TTL_SECONDS

    async def _validate_output(self, name: str, result: Json) -> None:
        """Raises RuntimeError: the structured content does not match the tool's output schema."""
        if (validator := self._validators.get(name)) is None or is_error(result):
            return
        if "structuredContent" not in result:
            raise RuntimeError(f"{name} promises structured content, and brought none")
        if (problem := await asyncio.to_thread(validator.find_error, result["structuredContent"])) is not None:
            raise RuntimeError(f"the structured content of {name} is not as promised: {problem}")

    def _is_forgotten(self, error: MCPError) -> bool:
        """Whether a server over HTTP no longer knows the session (before MCP 2026-07-28). They say so in different words."""
        stateful = isinstance(self.spec.target, Http) and not self.is_modern
        return stateful and error.code in SESSION_CODES and SESSION_UNKNOWN.search(error.message) is not None

    def _session_lost(self) -> SessionLost:
        return SessionLost(f"the server {self.spec.label} went away")


class _Page(NamedTuple):
    tools: list[Any]  # as received
    ttl_seconds: float
    next_cursor: str | None


async def _accept(name: str, result: CallToolResult) -> None: ...


def _expect_result(raw: Json) -> None:
    """Raises RuntimeError for what only promises a result."""
    if "task" in raw and "content" not in raw and "structuredContent" not in raw:
        raise RuntimeError("it began a task, which was not asked for, in place of a result")


def _check_arguments(arguments: Mapping[str, Any]) -> str | None:
    """Why the arguments cannot be sent; None: they can. The transport would close the connection over one such call."""
    try:
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "there is half a character in them (a lone surrogate)"
    except RecursionError:
        return "they are nested too deeply"
    except (ValueError, TypeError) as error:
        return sanitize(str(error))
    return "they are nested too deeply" if any(depth > MAX_ARGUMENT_DEPTH for depth, _ in walk(arguments)) else None


def _is_disconnect(error: MCPError) -> bool:
    return error.code == CONNECTION_CLOSED


def _fault_kind(error: MCPError) -> Literal["timeout", "http", "protocol"]:
    if error.code == REQUEST_TIMEOUT:
        return "timeout"
    http = error.code == INTERNAL_ERROR and error.message == "Server returned an error response"  # from the SDK, for 4xx and 5xx
    return "http" if http else "protocol"
