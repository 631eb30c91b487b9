"""The fixture of the conformance suite, driven without the suite: by the client that the suite starts. And the suite's judge, which
must not take silence for success."""

import asyncio
from typing import Any

import pytest
from mcp import Client
from mcp.types import CreateMessageResult, ListRootsResult, Root, TextContent

from server.runtime.settings import Settings
from server.runtime.state import ServerState
from tests.conformance import client as shim
from tests.conformance.asking import PREFIX
from tests.conformance.fixture import NAME, application, everything
from tests.conformance.suite import judge, scored_scenarios
from tests.server.web import serving

REQUIRED = """
server:
  - ping
  - tools-list

client:
  - initialize
  - auth/basic-cimd

not_scored:
  - scenario: auth/dpop
    leg: client
"""


async def sampled(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="Paris"), model="none")


async def rooted(context: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///here")])  # pyright: ignore[reportArgumentType]


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")  # what is going away is what is tried
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_fixture_serves_both_eras(mode: str) -> None:
    async def run(url: str) -> dict[str, str]:
        client = Client(url, mode=mode, elicitation_callback=shim.accept_defaults, sampling_callback=sampled, list_roots_callback=rooted)
        modern = mode == "auto"
        async with client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            called = [name for name in names if name.startswith(PREFIX)] if modern else ["test_sampling", "test_elicitation"]
            arguments = {} if modern else {"prompt": "Where?", "message": "Who?"}
            told = {name: await client.call_tool(name, arguments) for name in called}
            return {name: getattr(result.content[0], "text", "") for name, result in told.items()}

    with serving(application(ServerState(Settings()), {NAME: everything})) as url:
        told = asyncio.run(run(f"{url}/mcp/{NAME}"))
    if mode == "legacy":
        assert told["test_sampling"] == "LLM response: Paris" and "action=accept" in told["test_elicitation"]
    else:
        assert told[f"{PREFIX}_elicitation"] == "Hello, text!" and told[f"{PREFIX}_multi_round"] == "Color: text"
        assert told[f"{PREFIX}_list_roots"] == "Roots: file:///here" and told[f"{PREFIX}_request_state"] == "state-ok"


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
def test_the_shim_uses_every_method() -> None:
    with serving(application(ServerState(Settings()), {NAME: everything})) as url:
        asyncio.run(shim.run("tools_call", f"{url}/mcp/{NAME}", {}))
        asyncio.run(shim.run("http-custom-headers", f"{url}/mcp/{NAME}", {"toolCalls": [{"name": "test_simple_text", "arguments": {}}]}))


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("✓ ping: 2 passed, 0 failed\n✓ tools-list: 1 passed, 0 failed\n", ()),
        ("✓ ping: 2 passed, 0 failed\n✗ tools-list: 1 passed, 1 failed\n", ("tools-list",)),
        ("✓ ping: 2 passed, 1 failed\n✓ tools-list: 1 passed, 0 failed\n", ("ping",)),
        ("✓ ping: 2 passed, 0 failed\n", ("tools-list",)),
        ("", ("ping", "tools-list")),
    ],
)
def test_what_did_not_run_did_not_pass(output: str, missing: tuple[str, ...]) -> None:
    assert judge("server", "2026-07-28", output, REQUIRED).missing == missing


def test_the_scored_scenarios_are_those_of_the_leg() -> None:
    assert scored_scenarios(REQUIRED, "client") == ("initialize", "auth/basic-cimd")
    with pytest.raises(ValueError, match="name no scenarios"):
        scored_scenarios(REQUIRED, "authorization")
