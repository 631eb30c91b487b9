"""Opens MCP sessions, and watches them for announced changes and for the death of the process. Imports `mcp`, which takes a second:
import this where a session is opened."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress

from mcp import Client, MCPError
from mcp.client.session import IncomingMessage, MessageHandlerFnT
from mcp.client.subscriptions import SubscriptionLost
from mcp.server import MCPServer
from mcp.types import ToolListChangedNotification

from server.core.tool_host import ToolHostError
from server.mcp.config.server_spec import Http, ServerSpec, Stdio
from server.mcp.sanitize import describe_error
from server.mcp.session import McpSession, SessionCallbacks, SessionLost
from server.mcp.transport.connect import Hooks, connect
from server.mcp.transport.sdk_session import SdkSession
from server.mcp.transport.server_guard import ServerGuard
from server.mcp.transport.stderr_tail import StderrTail, stderr_pipe

STDERR_WAIT = 0.5  # seconds to wait for the last standard error output of a process that died
CLOSED = "Connection closed"  # the SDK's message
RESUBSCRIBE_DELAY = 5.0  # seconds between attempts to subscribe to changes of the tool list


@asynccontextmanager
async def open_remote_session(spec: ServerSpec, target: Stdio | Http, callbacks: SessionCallbacks) -> AsyncGenerator[McpSession]:
    """Entered and left in the same task. Raises SessionLost, and what the transport raises, in exception groups."""
    guard = ServerGuard(spec.label, spec.secrets)
    guard.on_stop.append(lambda: callbacks.on_connection_lost(guard.loss))
    stderr = StderrTail(guard.stop_stderr_flood)
    with stderr_pipe(stderr) if isinstance(target, Stdio) else nullcontext() as file:
        hooks = Hooks(on_message=_message_handler(callbacks), stderr=file, guard=guard)
        try:
            async with connect(target, hooks) as client:
                if file is not None:
                    file.close()  # only the process holds the pipe open now, so its death closes the pipe
                async with _watched(SdkSession(spec, client), stderr, callbacks) as session:
                    yield session
                    if guard.loss is not None or stderr.closed.is_set():
                        guard.log_stderr(await stderr.wait_closed(STDERR_WAIT))
        except Exception as error:
            if file is None:
                raise
            file.close()
            guard.log_stderr(await stderr.wait_closed(STDERR_WAIT))
            message = describe_error(error)
            raise guard.loss or SessionLost("it went away" if message == CLOSED else message) from error


@asynccontextmanager
async def open_in_process_session(spec: ServerSpec, server: MCPServer) -> AsyncGenerator[McpSession]:
    """A session with a built-in server."""
    async with Client(server) as client:
        yield SdkSession(spec, client)


def _message_handler(callbacks: SessionCallbacks) -> MessageHandlerFnT:
    async def on_message(message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            callbacks.on_tools_changed()

    return on_message


@asynccontextmanager
async def _watched(session: SdkSession, stderr: StderrTail, callbacks: SessionCallbacks) -> AsyncGenerator[SdkSession]:
    tasks = [asyncio.create_task(_watch_changes(session, callbacks)), asyncio.create_task(_watch_process(session, stderr, callbacks))]
    try:
        yield session
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch_changes(session: SdkSession, callbacks: SessionCallbacks) -> None:
    """Since MCP 2026-07-28 a client must subscribe to changes."""
    if not session.announces_changes or not session.is_modern:
        return
    with suppress(MCPError, TimeoutError):  # the server does not support it after all: the list is valid for its ttl
        while True:
            with suppress(SubscriptionLost):
                async with session.client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        callbacks.on_tools_changed()
            await asyncio.sleep(RESUBSCRIBE_DELAY)
            callbacks.on_tools_changed()  # a change may have been missed


async def _watch_process(session: SdkSession, stderr: StderrTail, callbacks: SessionCallbacks) -> None:
    """A process that died has closed its standard error; one that closed it on purpose still answers."""
    await stderr.closed.wait()
    try:
        await session.list_tools()
    except SessionLost:
        callbacks.on_connection_lost(None)
    except ToolHostError:
        pass
