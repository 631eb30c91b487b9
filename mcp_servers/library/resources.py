"""The documents of the knowledge base as resources: knowledge://STORE/FILE, listed page by page, with completion."""

from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    ListResourcesResult,
    PromptReference,
    Resource,
    ResourceTemplateReference,
)

from mcp_servers.common import BadCursor, cursor_position, next_cursor, resource_pages
from mcp_servers.library.books import OWNER, Library, uri
from retrieval.api import KnowledgeError, NotFound
from retrieval.records import Member, PageRequest
from retrieval.threads import in_thread

PAGE = 100
COMPLETIONS = 100  # maximum number of completion values (MCP specification)


def owned(library: Library, owner_of: Callable[[Context], str]) -> list[ServerMiddleware[Any]]:
    """Middleware that sets OWNER for each request, and resources/list for that owner."""

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        token = OWNER.set(owner_of(Context(request_context=ctx)))
        try:
            return await call_next(ctx)
        finally:
            OWNER.reset(token)

    async def page(cursor: str | None) -> ListResourcesResult:
        return await in_thread(_page, library, cursor)

    return [middleware, resource_pages(page)]


def add_resources(server: MCPServer[Any], library: Library) -> None:
    @server.resource("knowledge://{store}/{file}", title="Document", description="The whole text of a document", mime_type="text/plain")
    async def document(store: str, file: str) -> str:
        try:
            return await library.text(store, file)
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from error

    @server.completion()
    async def complete(
        ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion:
        chosen = (context.arguments or {}).get("store") if context else None
        found = await in_thread(_completions, library, argument, chosen)
        return Completion(values=found[:COMPLETIONS], total=len(found), has_more=len(found) > COMPLETIONS)

    _ = document, complete  # registered by the decorators


def _page(library: Library, cursor: str | None) -> ListResourcesResult:
    """Members store by store, oldest first; only ready ones, as others have no text."""
    stores = [store.id for store in library.all()]
    at, after = _position(stores, cursor)
    found: list[Member] = []
    while at < len(stores) and len(found) < PAGE:
        listing = PageRequest(limit=PAGE - len(found), order="asc", after=after)
        page = library.base.store.members(OWNER.get(), stores[at], listing, states=("ready",))
        found += page.items
        at, after = (at, page.items[-1].file_id) if page.more else (at + 1, None)
    following = next_cursor("resources", [stores[at], after or ""]) if at < len(stores) else None
    return ListResourcesResult(resources=[_resource(member) for member in found], next_cursor=following)


def _position(stores: Sequence[str], cursor: str | None) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    store, after = cursor_position("resources", cursor, (str, str))
    if store not in stores:
        raise BadCursor("cursor: its store is gone; leave it out to begin again")
    return stores.index(store), after or None


def _resource(member: Member) -> Resource:
    where = uri(member.store_id, member.file_id)
    return Resource(uri=where, name=member.filename, mime_type="text/plain", size=None)


def _completions(library: Library, argument: CompletionArgument, store: str | None) -> list[str]:
    if argument.name == "store":
        stores = library.all()
        found = [*(store.id for store in stores), *(store.name for store in stores if store.name)]
    else:
        found = _files(library, store) if argument.name == "file" and store else []
    return [value for value in found if value.startswith(argument.value)]


def _files(library: Library, store: str) -> list[str]:
    try:
        listing = PageRequest(limit=COMPLETIONS + 1, order="asc")
        return [member.file_id for member in library.base.store.members(OWNER.get(), library.find(store).id, listing).items]
    except (NotFound, KnowledgeError, ToolError):
        return []
