"""Circuit breaker, reconnects, retries and the cache of tool lists: with fake sessions."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from server.core.tool_host import HostedTool, ServerUnavailable, ToolFault, ToolHostError, ToolOutcome
from server.mcp.config.server_spec import ServerSpec, Stdio
from server.mcp.connection.circuit_breaker import CircuitBreaker
from server.mcp.connection.connection import Connection
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.session import McpSession, SessionCallbacks, SessionLost, ToolList
from server.mcp.trust.pins import NoPins

POLICY = RetryPolicy(initial_delay=1, max_delay=8, failure_threshold=3, open_seconds=60)


def test_an_open_circuit_admits_one_after_its_rest() -> None:
    circuit = CircuitBreaker(POLICY)
    for second in range(3):
        assert circuit.allow(second)
        circuit.record_failure(second)
    assert circuit.is_open(3) and not circuit.allow(3) and not circuit.allow(61.9)
    assert circuit.allow(62) and not circuit.allow(62)  # one, and nobody else until that is decided
    circuit.release_probe()
    assert circuit.allow(63)
    circuit.record_failure(63)
    assert not circuit.allow(122) and circuit.allow(123)
    circuit.record_success()
    assert circuit.allow(124) and circuit.allow(124) and circuit.failures == 0


def test_delays_double_and_are_scattered() -> None:
    circuit = CircuitBreaker(RetryPolicy(initial_delay=1, max_delay=8, failure_threshold=10))
    delays = list[float]()
    for _ in range(6):
        circuit.record_failure(0)
        delays.append(circuit.reconnect_delay(0, 1.0))
        assert circuit.reconnect_delay(0, 0.0) == delays[-1] / 2
    assert delays == [1, 2, 4, 8, 8, 8]


def test_an_open_circuit_waits_for_its_rest() -> None:
    circuit = CircuitBreaker(POLICY)
    for _ in range(3):
        circuit.record_failure(10)
    assert circuit.reconnect_delay(30, 0.5) == 40 and circuit.reconnect_delay(100, 0.5) == 0


def test_a_call_may_end_the_rest_of_a_policy_with_a_demand_delay() -> None:
    circuit = CircuitBreaker(replace(POLICY, demand_delay=1.0))
    for _ in range(3):
        circuit.record_failure(10)
    assert not circuit.allow(10.9) and circuit.allow(11) and circuit.reconnect_delay(11, 0.5) == 59
    circuit.record_failure(11, final=True)
    assert not circuit.allow(70) and circuit.allow(71)


def test_a_server_that_misbehaves_is_paused_at_once() -> None:
    circuit = CircuitBreaker(POLICY)
    circuit.record_failure(10, final=True)
    assert not circuit.allow(69) and circuit.reconnect_delay(10, 0.5) == 60


READ = HostedTool(name="read", title="read", description="", input_schema={}, annotations={"readOnlyHint": True})
WRITE = HostedTool(name="write", title="write", description="", input_schema={})


async def answering() -> None: ...


async def silent() -> None:
    await asyncio.Event().wait()


async def refusing() -> None:
    raise ToolHostError("Server returned an error response")


@dataclass
class FakeSession:
    """`fails`: what the next calls raise or return, one after the other. `pinged`: runs on each ping."""

    seconds: float | None = None
    fails: list[Exception | ToolFault] = field(default_factory=list[Exception | ToolFault])
    tools: tuple[HostedTool, ...] = (READ, WRITE)
    lists: int = 0
    calls: int = 0
    opened: int = 0
    callbacks: SessionCallbacks | None = None
    pinged: Callable[[], Awaitable[None]] = answering
    protocol_version: str = "2026-07-28"
    server_info: tuple[str, str] | None = None

    async def list_tools(self) -> ToolList:
        self.lists += 1
        return ToolList(tools=self.tools, digests={tool.name: "x" for tool in self.tools}, ttl_seconds=self.seconds)

    async def ping(self) -> None:
        await self.pinged()

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> ToolOutcome:
        self.calls += 1
        match self.fails.pop(0) if self.fails else None:
            case Exception() as error:
                raise error
            case ToolFault() as fault:
                return ToolOutcome(text=fault.message, fault=fault)
            case _:
                return ToolOutcome(text="fine")

    @asynccontextmanager
    async def open(self, callbacks: SessionCallbacks) -> AsyncGenerator[McpSession]:
        self.opened += 1
        self.callbacks = callbacks
        yield self


@asynccontextmanager
async def connected(session: FakeSession, retry_policy: RetryPolicy | None = None) -> AsyncGenerator[Connection]:
    spec = ServerSpec(label="fake", target=Stdio(command="x"))
    connection = Connection(spec, session.open, NoPins(), retry_policy or RetryPolicy(initial_delay=0.01, open_seconds=0.2, connect_wait=1))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize(("seconds", "lists"), [(None, 1), (3600.0, 1), (0.0, 4)])
def test_lists_hold_as_long_as_their_server_says(seconds: float | None, lists: int) -> None:
    async def work() -> None:
        session = FakeSession(seconds)
        async with connected(session) as connection:
            for _ in range(3):
                assert [tool.name for tool in await connection.tools()] == ["read", "write"]
            assert session.lists == lists
            for _ in range(5):
                await connection.call("read", {}, None)
            assert session.lists == lists  # calls need none
            assert session.callbacks is not None
            session.tools = (READ,)
            session.callbacks.on_tools_changed()
            assert [tool.name for tool in await connection.tools()] == ["read"]

    asyncio.run(work())


def test_a_change_during_a_listing_is_not_lost() -> None:
    class Changing(FakeSession):
        async def list_tools(self) -> ToolList:
            found = await super().list_tools()
            if self.lists == 1 and self.callbacks is not None:
                self.tools = (READ,)
                self.callbacks.on_tools_changed()
            return found

    async def work() -> None:
        session = Changing()
        async with connected(session) as connection:
            assert [tool.name for tool in await connection.tools()] == ["read"]
            await connection.tools()
            assert session.lists == 2

    asyncio.run(work())


@pytest.mark.parametrize(("name", "losses", "fine", "calls"), [("read", 1, True, 2), ("read", 2, False, 2), ("write", 1, False, 1)])
def test_one_more_attempt_for_what_only_reads(name: str, losses: int, fine: bool, calls: int) -> None:
    async def work() -> None:
        session = FakeSession(fails=[SessionLost("it went away")] * losses)
        async with connected(session) as connection:
            outcome = await connection.call(name, {}, None)
            assert (outcome.fault is None) == fine
            assert session.calls == calls and connection.status.calls == 1

    asyncio.run(work())


def test_tools_that_fail_by_themselves_open_no_circuit() -> None:
    async def work() -> None:
        session = FakeSession(fails=[ToolFault(kind="execution", message="no")] * 20)
        async with connected(session) as connection:
            for _ in range(20):
                assert (await connection.call("read", {}, None)).text == "no"
            assert session.calls == 20 and connection.status.state == "ready" and connection.status.last_error is None

    asyncio.run(work())


@pytest.mark.parametrize("kind", ["timeout", "http"])
def test_a_tool_that_fails_while_its_server_answers_opens_no_circuit(kind: Literal["timeout", "http"]) -> None:
    async def work() -> None:
        session = FakeSession(fails=[ToolFault(kind=kind, message="late")] * 20)
        async with connected(session, RetryPolicy(initial_delay=0.01, failure_threshold=2, open_seconds=60)) as connection:
            for _ in range(20):
                assert (await connection.call("write", {}, None)).text == "late"
            assert session.calls == 20 and connection.status.state == "ready"
            assert (await connection.call("read", {}, None)).fault is None

    asyncio.run(work())


def test_one_answer_ends_a_row_of_failures() -> None:
    async def work() -> None:
        session = FakeSession(fails=[ToolFault(kind="timeout", message="late")] * 3)
        async with connected(session, RetryPolicy(initial_delay=0.01, failure_threshold=2, open_seconds=60)) as connection:
            for answer in (refusing, answering, refusing):
                session.pinged = answer
                await connection.call("write", {}, None)
            assert (await connection.call("read", {}, None)).fault is None

    asyncio.run(work())


def test_a_connection_found_lost_by_asking_is_opened_again_and_counted_once() -> None:
    async def work() -> None:
        async def gone() -> None:
            raise SessionLost("it went away")

        session = FakeSession(fails=[ToolFault(kind="timeout", message="late")], pinged=gone)
        async with connected(session, RetryPolicy(initial_delay=0.01, failure_threshold=2, open_seconds=60, connect_wait=5)) as connection:
            await connection.call("write", {}, None)
            assert (await connection.call("read", {}, None)).fault is None
            assert session.opened == 2

    asyncio.run(work())


@pytest.mark.parametrize("answer", [silent, refusing])
def test_a_server_that_does_not_answer_is_spared_and_then_tried_once(answer: Callable[[], Awaitable[None]]) -> None:
    async def work() -> None:
        session = FakeSession(fails=[ToolFault(kind="timeout", message="late")] * 2, pinged=answer)
        async with connected(
            session, RetryPolicy(initial_delay=0.01, failure_threshold=2, open_seconds=0.2, ping_timeout=0.02)
        ) as connection:
            for _ in range(4):
                await connection.call("write", {}, None)
            assert session.calls == 2 and connection.status.state == "failed"
            assert "paused" in (await connection.call("write", {}, None)).text
            await asyncio.sleep(0.25)
            outcomes = await asyncio.gather(*(connection.call("write", {}, None) for _ in range(3)))
            assert session.calls >= 3 and outcomes[0].fault is None
            assert connection.status.state == "ready"

    asyncio.run(work())


def test_an_attempt_that_is_cancelled_decides_nothing() -> None:
    class Slow(FakeSession):
        async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> ToolOutcome:
            await asyncio.sleep(0.05)
            return await super().call(name, arguments, meta)

    async def work() -> None:
        session = Slow(fails=[ToolFault(kind="timeout", message="late")] * 2, pinged=refusing)
        async with connected(session, RetryPolicy(initial_delay=0.01, failure_threshold=2, open_seconds=0.1)) as connection:
            for _ in range(2):
                await connection.call("write", {}, None)
            await asyncio.sleep(0.15)
            attempt = asyncio.create_task(connection.call("write", {}, None))
            await asyncio.sleep(0.01)
            attempt.cancel()
            await asyncio.wait((attempt,))
            assert (await connection.call("write", {}, None)).fault is None

    asyncio.run(work())


def test_a_server_that_crashes_on_every_call_is_given_a_rest_too() -> None:
    async def work() -> None:
        session = FakeSession(fails=[SessionLost("it went away")] * 50)
        async with connected(
            session, RetryPolicy(initial_delay=0.01, failure_threshold=4, open_seconds=30, connect_wait=0.5)
        ) as connection:
            for _ in range(8):
                await connection.call("write", {}, None)
            assert session.calls == 4 and session.opened == 4
            assert connection.status.state == "failed"

    asyncio.run(work())


def test_why_a_server_cannot_be_reached_is_said_once() -> None:
    async def work() -> None:
        session = FakeSession(fails=[SessionLost("it went away")])
        async with connected(
            session, RetryPolicy(initial_delay=0.01, failure_threshold=1, open_seconds=60, connect_wait=0.2)
        ) as connection:
            for _ in range(2):
                await connection.call("write", {}, None)
            with pytest.raises(ServerUnavailable) as told:
                await connection.tools()
            assert str(told.value) == "the MCP server fake cannot be reached: it went away"

    asyncio.run(work())


def test_a_server_whose_tools_are_refused_is_unavailable() -> None:
    class Broken(FakeSession):
        async def list_tools(self) -> ToolList:
            if self.lists:
                raise ToolHostError("it lists its tools in circles")
            return await super().list_tools()

    async def work() -> None:
        async with connected(Broken(seconds=0.0)) as connection:
            with pytest.raises(ServerUnavailable, match="fake cannot be reached: it lists its tools in circles"):
                await connection.tools()

    asyncio.run(work())
