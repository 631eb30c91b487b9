"""Files as resources: files directly in the roots are listed, others are reached by the URI template."""

import base64
import os
import stat
from urllib.parse import unquote, urlsplit

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.types import (
    Annotations,
    Completion,
    CompletionArgument,
    CompletionContext,
    ListResourcesResult,
    PromptReference,
    Resource,
    ResourceTemplateReference,
)

from mcp_servers.common import Clock, cursor_position, next_cursor, working
from mcp_servers.fs.listing import entries, modified
from mcp_servers.fs.media import media_type, named_type, whole
from mcp_servers.fs.roots import Place, Tree, spelt
from mcp_servers.fs.text import encoding_of
from mcp_servers.fs.walk import file_at, folder_at

TEMPLATE = "file:///{+path}"
PAGE = 100  # resources per page
MOST = 100  # maximum number of completion values (MCP specification)


class Shelf:
    """The files of a tree under their `file:` URIs."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    async def page(self, cursor: str | None) -> ListResourcesResult:
        """Regular files directly in the roots, root by root. Raises BadCursor."""
        root, after = cursor_position("resources", cursor, (int, str)) if cursor is not None else (0, "")
        found = await working(lambda clock: self._files(root, after, clock), self._tree.limits.seconds)
        resources = [resource for _, _, resource in found[:PAGE]]
        last = found[PAGE - 1] if len(found) > PAGE else None
        return ListResourcesResult(resources=resources, next_cursor=next_cursor("resources", [last[0], last[1]]) if last else None)

    async def read(self, path: str) -> str | bytes:
        """Text where it is text. `path`: absolute, without the first slash."""
        return await working(lambda _: self._content(f"/{path}"), self._tree.limits.seconds)

    async def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        """Of a path, the names in its last directory that begin so."""
        if not isinstance(ref, ResourceTemplateReference) or ref.uri != TEMPLATE or argument.name != "path":
            return None
        values = await working(lambda clock: self._completions(argument.value, clock), self._tree.limits.seconds)
        return Completion(values=values[:MOST], total=len(values), has_more=len(values) > MOST)

    def _files(self, first: int, after: str, clock: Clock) -> list[tuple[int, str, Resource]]:
        found = list[tuple[int, str, Resource]]()
        for number, root in enumerate(self._tree.roots):
            if number < first or len(found) > PAGE:
                continue
            with folder_at(self._tree, Place(root, ())) as folder:
                for name, status in entries(self._tree, folder, clock):
                    if self._readable(status) and (number > first or name > after) and spelt(name) == name:
                        place = folder.place.inside(name)
                        changed = Annotations(last_modified=modified(status))
                        resource = Resource(
                            uri=place.uri, name=place.shown, mime_type=named_type(name), size=status.st_size, annotations=changed
                        )
                        found.append((number, name, resource))
        return found

    def _readable(self, status: os.stat_result) -> bool:
        """Whether `read` would accept the file; others are not listed."""
        alone = status.st_nlink <= 1 or self._tree.policy.hard_links == "read"
        return stat.S_ISREG(status.st_mode) and alone and status.st_size <= self._tree.limits.media_bytes

    def _content(self, path: str) -> str | bytes:
        try:
            with file_at(self._tree, self._tree.place(path)) as file:
                data = whole(self._tree, file)
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from None
        encoding = encoding_of(data, complete=True)
        return data if encoding is None else data.decode(encoding, "replace")

    def _completions(self, value: str, clock: Clock) -> list[str]:
        """Paths that begin with `value`; the roots' paths while it is outside of them."""
        roots = [str(root.path)[1:] for root in self._tree.roots]
        above, _, begun = value.rpartition("/")
        try:
            with folder_at(self._tree, self._tree.place(f"/{above}")) as folder:
                names = [
                    f"{name}/" if stat.S_ISDIR(status.st_mode) else name
                    for name, status in entries(self._tree, folder, clock)
                    if name.startswith(begun) and spelt(name) == name
                ]
                return [f"{above}/{name}" for name in names]
        except ToolError:
            return [f"{root}/" for root in roots if root.startswith(value) or value in (root, f"{root}/")]


async def typed(ctx: ServerRequestContext, call_next: CallNext) -> HandlerResult:
    """The type of each resource that was read; the template has but one for all."""
    result = await call_next(ctx)
    if ctx.method == "resources/read" and isinstance(result, dict):
        for content in result.get("contents", []):
            content["mimeType"] = _type(content)
    return result


def _type(content: dict[str, str]) -> str:
    named = named_type(unquote(urlsplit(content["uri"]).path))
    if "text" in content:
        return named if named and named.startswith(("text/", "application/")) else "text/plain"
    return media_type(base64.b64decode(content["blob"][:32])) or named or "application/octet-stream"
