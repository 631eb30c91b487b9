"""The client that the conformance suite starts, once for each scenario: it drives the product's own connection (server/host).
python -m tests.conformance.client URL, with MCP_CONFORMANCE_SCENARIO and MCP_CONFORMANCE_CONTEXT in the environment."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from server.mcp.config.server_spec import AuthorizationCode, ClientCredentials, Http
from server.mcp.transport.connect import Hooks, connect

LOCAL = ("localhost", "127.0.0.1")
METADATA = "https://conformance-test.local/client-metadata.json"  # the suite's: it is known there, and never fetched
Script = Callable[[Client, dict[str, Any]], Awaitable[None]]


async def call_some(client: Client, context: dict[str, Any]) -> None:
    """Every tool, with the arguments that the context or its schema asks for."""
    tools = (await client.list_tools()).tools
    wanted: list[dict[str, Any]] = context.get("toolCalls") or [
        {"name": tool.name, "arguments": _arguments(tool.input_schema)} for tool in tools
    ]
    for call in wanted:
        await client.call_tool(call["name"], call["arguments"])


async def add(client: Client, context: dict[str, Any]) -> None:
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def use_all(client: Client, context: dict[str, Any]) -> None:
    """Each of the methods that have headers of their own."""
    await call_some(client, context)
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def look(client: Client, context: dict[str, Any]) -> None:
    await client.list_tools()


async def echo_schema(client: Client, context: dict[str, Any]) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    await client.call_tool("json_schema_echo", {"schema": tools["json_schema_2020_12_tool"].input_schema})


SCRIPTS: dict[str, Script] = {
    "initialize": look,
    "tools_call": add,
    "request-metadata": look,
    "http-standard-headers": use_all,
    "json-schema-ref-no-deref": look,
    "json-schema-2020-12-preservation": echo_schema,
}


def _arguments(schema: dict[str, Any]) -> dict[str, Any]:
    examples = {"string": "text", "number": 1.5, "integer": 7, "boolean": True, "array": [], "object": {}}
    properties = schema.get("properties", {})
    return {name: examples[properties.get(name, {}).get("type", "string")] for name in schema.get("required", ())}


async def accept_defaults(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """A user who presses Enter."""
    assert isinstance(params, ElicitRequestFormParams)
    properties: dict[str, Any] = params.requested_schema.get("properties", {})
    content = {name: one["default"] for name, one in properties.items() if "default" in one}
    return ElicitResult(action="accept", content=content or _arguments(params.requested_schema))


async def follow(url: str) -> str:
    """A browser whose user agrees to everything."""
    async with httpx2.AsyncClient() as browser:
        return (await browser.get(url)).headers["location"]


async def credentials(scenario: str, url: str, context: dict[str, Any]) -> AuthorizationCode | ClientCredentials | None:
    """What an operator would have written down."""
    known = {key: context[key] for key in ("client_id", "client_secret") if key in context}
    if scenario == "auth/client-credentials-basic":
        return ClientCredentials(**known, issuer=await issuer(url), hosts=LOCAL)
    return AuthorizationCode(metadata_url=METADATA, hosts=LOCAL, **known) if scenario.startswith("auth/") else None


async def issuer(url: str) -> str:
    """Of the scenario's authorization server, which an operator knows from whoever gave out the secret."""
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(httpx2.URL(url).join("/.well-known/oauth-protected-resource/mcp"))
    return answer.json()["authorization_servers"][0]


async def run(scenario: str, url: str, context: dict[str, Any]) -> None:
    oauth = await credentials(scenario, url, context)
    with tempfile.TemporaryDirectory() as tokens:
        hooks = Hooks(on_elicitation=accept_defaults, authorize=follow, token_folder=Path(tokens))
        async with connect(Http(url=url, oauth=oauth), hooks) as client:
            with contextlib.suppress(MCPError):  # a server may end the call with one: what was sent until then is what counts
                await SCRIPTS.get(scenario, call_some)(client, context)


def main() -> None:
    context: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    asyncio.run(run(os.environ["MCP_CONFORMANCE_SCENARIO"], sys.argv[-1], context))


if __name__ == "__main__":
    main()
