"""Tables as resources: db://SOURCE lists them, db://SOURCE/SCHEMA/TABLE describes one; with completion of names."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.server.mcpserver.resources import FunctionResource
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    ListResourcesResult,
    PromptReference,
    Resource,
    ResourceTemplateReference,
)

from mcp_servers.common import Clock, ResourcePage, cursor_position, next_cursor, working
from mcp_servers.sql.api import Database, Item, Limits
from mcp_servers.sql.search import described, path
from mcp_servers.sql.source import Source

Databases = Mapping[str, tuple[Source, Database]]
TEMPLATE = "db://{source}/{schema}/{table}"
PAGE = 100
MOST = 100  # maximum number of completion values (MCP specification)


def add_resources(mcp: MCPServer[Any], databases: Databases, limits: Limits) -> None:
    for name in databases:
        mcp.add_resource(_overview(name, databases, limits))

    @mcp.resource(TEMPLATE, name="table", title="A table", description="Columns, keys, indexes and comments", mime_type="application/json")
    async def table(source: str, schema: str, table: str) -> str:
        if source not in databases:
            raise ResourceNotFoundError(f"there is no database {source!r}")

        def describe(clock: Clock) -> str:
            origin, database = databases[source]
            found = [item for item in _tables(database, clock) if (item.schema_name or "", item.name) == (schema, table)]
            if not found:
                raise ResourceNotFoundError(f"there is no table {schema}.{table}")
            return described(origin, database, found[0], 0, clock).model_dump_json(exclude_none=True)

        return await _read(describe, limits)

    @mcp.completion()
    async def complete(
        reference: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion | None:
        if not isinstance(reference, ResourceTemplateReference) or reference.uri != TEMPLATE:
            return None
        chosen = (context.arguments if context else None) or {}
        values = await working(lambda clock: _values(databases, argument.name, chosen, clock), limits.seconds)
        fitting = [value for value in values if value.lower().startswith(argument.value.lower())]
        return Completion(values=fitting[:MOST], total=len(fitting), has_more=len(fitting) > MOST)


def resources_of(databases: Databases) -> ResourcePage:
    """The pages of resources/list: one resource for each database."""
    names = list(databases)

    async def page(cursor: str | None) -> ListResourcesResult:
        begin = cursor_position("resources", cursor, (int,))[0] if cursor is not None else 0
        end = begin + PAGE
        further = next_cursor("resources", [end]) if end < len(names) else None
        return ListResourcesResult(resources=[_listed(name) for name in names[begin:end]], next_cursor=further)

    return page


def _listed(name: str) -> Resource:
    return Resource(uri=f"db://{name}", name=name, title=f"Tables of {name}", mime_type="application/json")


def _values(databases: Databases, argument: str, chosen: Mapping[str, str], clock: Clock) -> list[str]:
    if argument == "source":
        return sorted(databases)
    source = chosen.get("source", next(iter(databases)) if len(databases) == 1 else "")
    if source not in databases:
        return []
    items = _tables(databases[source][1], clock)
    if argument == "schema":
        return sorted({item.schema_name or "" for item in items})
    return sorted({item.name for item in items if chosen.get("schema", item.schema_name) == item.schema_name})


def _tables(database: Database, clock: Clock) -> list[Item]:
    return [*database.items("table", clock), *database.items("view", clock)]


def _overview(name: str, databases: Databases, limits: Limits) -> FunctionResource:
    async def read() -> str:
        return await _read(lambda clock: json.dumps([path(item) for item in _tables(databases[name][1], clock)]), limits)

    return FunctionResource.from_function(
        fn=read, uri=f"db://{name}", name=name, title=f"Tables of {name}", description=None, mime_type="application/json"
    )


async def _read(job: Callable[[Clock], str], limits: Limits) -> str:
    try:
        return await working(job, limits.seconds)
    except ToolError as error:
        raise ResourceError(str(error)) from None
