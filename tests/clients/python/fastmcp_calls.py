"""fastmcp's client against our MCP servers: over Streamable HTTP in the running server, and over stdio, in both eras of the protocol."""

import asyncio
import os

from calls import KEY, URL, call, main
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from fastmcp.exceptions import ToolError

FOLDER, DATABASE, PYTHON, HOUSE = (os.environ[f"STOA_{name}"] for name in ("FOLDER", "DATABASE", "PYTHON", "HOUSE"))


def over_http(path, mode="auto"):
    return Client(StreamableHttpTransport(f"{URL}/mcp{path}", headers={"Authorization": f"Bearer {KEY}"}), mode=mode)


def over_stdio(*words, mode="auto"):
    return Client(StdioTransport(PYTHON, ["-m", *words], env={"PYTHONPATH": HOUSE}), mode=mode)


async def _files(client):
    async with client:
        legacy = client.initialize_result is not None
        assert legacy == (client.mode == "legacy") and (not legacy or await client.ping())  # 2026-07-28 knows no ping
        names = {tool.name for tool in await client.list_tools()}
        assert {"read_text", "search_content", "file_info"} <= names and "write_file" not in names
        listed = await client.call_tool("list_directory", {"path": "."})
        assert "notes.txt" in str(listed.data or listed.structured_content or listed.content)
        read = await client.call_tool("read_text", {"path": "notes.txt"})
        assert "cellar" in str(read.content)
        found = await client.call_tool("search_content", {"query": "boiler"})
        return "notes.txt" in str(found.content)


async def _errors(client):
    async with client:
        for name, arguments, word in (
            ("read_text", {"path": "../../etc/passwd"}, ""),
            ("read_text", {"path": "no-such-file.txt"}, "no-such-file"),
            ("read_text", {}, "path"),
            ("read_text", {"path": 5}, "path"),
        ):
            try:
                await client.call_tool(name, arguments)
                return False
            except ToolError as error:
                assert word in str(error), (word, str(error))
        kept = await client.call_tool("read_text", {"path": "no-such-file.txt"}, raise_on_error=False)
        assert kept.is_error
        try:
            await client.call_tool("no_such_tool", {})
            return False
        except Exception as error:
            return "no_such_tool" in str(error)


@call
async def files_over_http():
    return await _files(over_http("/files"))


@call
async def files_by_other_addresses():
    return await _files(over_http("/files/"))


@call
async def files_over_http_in_the_older_era():
    return await _files(over_http("/files", "legacy"))


@call
async def files_over_stdio():
    return await _files(over_stdio("mcp_servers.files", FOLDER))


@call
async def files_over_stdio_in_the_older_era():
    return await _files(over_stdio("mcp_servers.files", FOLDER, mode="legacy"))


@call
async def errors_over_http():
    return await _errors(over_http("/files"))


@call
async def errors_over_http_in_the_older_era():
    return await _errors(over_http("/files", "legacy"))


@call
async def errors_over_stdio():
    return await _errors(over_stdio("mcp_servers.files", FOLDER))


@call
async def files_are_written():
    async with over_stdio("mcp_servers.files", f"{FOLDER}:rw", "--write") as client:
        await client.call_tool("write_file", {"path": "made.txt", "content": "one\n", "overwrite": True})
        return "one" in str((await client.call_tool("read_text", {"path": "made.txt"})).content)


@call
async def database_over_http():
    async with over_http("/database") as client:
        rows = await client.call_tool("query", {"sql": "SELECT name FROM towns ORDER BY name"})
        assert "Rome" in str(rows.content), rows
        return "towns" in str((await client.call_tool("search_objects", {"pattern": "tow"})).content)


@call
async def database_over_stdio():
    async with over_stdio("mcp_servers.database", DATABASE) as client:
        try:
            await client.call_tool("query", {"sql": "DROP TABLE towns"})
            return False
        except ToolError:
            return "Oslo" in str((await client.call_tool("query", {"sql": "SELECT name FROM towns"})).content)


@call
async def knowledge_over_http():
    async with over_http("/knowledge") as client:
        assert {"search", "read_passage"} <= {tool.name for tool in await client.list_tools()}
        return (await client.call_tool("list_stores", {})).content is not None


async def _lists(client):
    async with client:
        resources, templates, prompts = await client.list_resources(), await client.list_resource_templates(), await client.list_prompts()
        assert resources and templates and prompts == []
        return all([await client.read_resource(resource.uri) for resource in resources])


@call
async def resources_and_prompts():
    return await _lists(over_http("/database"))


@call
async def resources_and_prompts_in_the_older_era():
    return await _lists(over_http("/database", "legacy"))


@call
async def several_servers_of_one_configuration():
    servers = {name: {"url": f"{URL}/mcp/{name}", "headers": {"Authorization": f"Bearer {KEY}"}} for name in ("files", "database")}
    async with Client({"mcpServers": servers}) as client:
        assert {"files_read_text", "database_query"} <= {tool.name for tool in await client.list_tools()}
        return "cellar" in str((await client.call_tool("files_read_text", {"path": "notes.txt"})).content)


@call
async def sixteen_calls_at_once():
    async with over_http("/files") as client:
        found = await asyncio.gather(*(client.call_tool("file_info", {"path": "notes.txt"}) for _ in range(16)))
        return len(found) == 16 and all("notes.txt" in str(result.content) for result in found)


if __name__ == "__main__":
    main()
