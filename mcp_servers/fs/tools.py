"""The tools of the file server. Models read their docstrings and schemas, so keep these short."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Any, Literal, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from mcp_servers.common import BadCursor, Clock, closed, cursor_position, next_cursor, said, working
from mcp_servers.fs import search, shapes
from mcp_servers.fs.glob import Globs
from mcp_servers.fs.info import info
from mcp_servers.fs.listing import Page, Walk, drawing, listing
from mcp_servers.fs.media import media
from mcp_servers.fs.regex import BadPattern, Pattern, plain
from mcp_servers.fs.roots import Tree
from mcp_servers.fs.text import Lines, known, read_lines, text_encoding
from mcp_servers.fs.walk import Kind, file_at
from mcp_servers.fs.writing.edit import Edit, edit_text
from mcp_servers.fs.writing.write import create_folder, move, write_text

Path = Annotated[str, Field(max_length=4096, description="Path of a file, as list_directory shows it")]
FolderPath = Annotated[str, Field(max_length=4096, description="Path of a directory; empty: the top")]
Cursor = Annotated[str | None, Field(max_length=20_000, description="next_cursor of the answer before; the other arguments unchanged")]
Ctx = Context[Any, Any]
T = TypeVar("T")

REPLACES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def read_tools(tree: Tree) -> list[Tool]:
    reading = Reading(tree)
    return [
        closed(reading.read_text, "Read a text file"),
        closed(reading.read_media, "See an image or hear a sound"),
        closed(reading.list_directory, "List a directory"),
        closed(reading.tree, "Draw a directory tree"),
        closed(reading.search_names, "Search files by name"),
        closed(reading.search_content, "Search in files"),
        closed(reading.file_info, "Describe a file"),
    ]


def write_tools(tree: Tree) -> list[Tool]:
    writing = Writing(tree, Lock())
    return [
        closed(writing.write_file, "Write a file", REPLACES),
        closed(writing.edit_file, "Edit a file", CHANGES),
        closed(writing.create_directory, "Create a directory", ADDS),
        closed(writing.move, "Move or rename", CHANGES),
    ]


@dataclass(frozen=True)
class Reading:
    _tree: Tree

    async def read_text(
        self,
        path: Path,
        start_line: Annotated[int, Field(description="First line, from 1; -20: the last 20 lines")] = 1,
        max_lines: Annotated[int, Field(ge=1, le=10_000)] = 500,
        max_bytes: Annotated[int, Field(ge=1, description="Of text in the answer")] = 32_768,
        encoding: Annotated[str | None, Field(max_length=40, description="Only where it was not recognised")] = None,
    ) -> Annotated[CallToolResult, shapes.Text]:
        """Read lines of a text file. If truncated is true, go on with start_line = next_line."""
        lines = Lines(start_line or 1, max_lines, min(max_bytes, self._tree.limits.text_bytes))

        def job(clock: Clock) -> shapes.Text:
            with file_at(self._tree, self._tree.place(path)) as file:
                return read_lines(file, lines, known(encoding) if encoding else text_encoding(file), clock)

        return said(await self._work(job))

    async def read_media(self, path: Path) -> Annotated[CallToolResult, shapes.Media]:
        """See an image (PNG, JPEG, GIF, WebP) or hear a sound (WAV, MP3, Ogg, FLAC)."""

        def job(_: Clock) -> CallToolResult:
            with file_at(self._tree, self._tree.place(path)) as file:
                block, mime, size = media(self._tree, file)
                return said(shapes.Media(path=file.place.shown, mime_type=mime, size=size), block)

        return await self._work(job)

    async def list_directory(
        self,
        path: FolderPath = "",
        limit: Annotated[int, Field(ge=1, le=1000)] = 200,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, shapes.Listing]:
        """List what is in a directory: names, kinds, sizes, times."""
        places, question = self._tree.places(path), ["list", path]
        after: str = cursor_position(question, cursor, (str,))[0] if cursor is not None else ""
        page = Page(after, self._most(limit))
        answer, last = await self._work(lambda clock: listing(self._tree, places, page, clock))
        answer.next_cursor = next_cursor(question, [last]) if last is not None else None
        return said(answer)

    async def tree(
        self,
        path: FolderPath = "",
        depth: Annotated[int, Field(ge=1, le=20)] = 3,
        limit: Annotated[int, Field(ge=1, le=1000, description="Entries at most")] = 200,
    ) -> Annotated[CallToolResult, shapes.Drawing]:
        """Show a directory and those below it as an indented tree of names."""
        places = self._tree.places(path)
        return said(await self._work(lambda clock: drawing(Walk(self._tree, clock, depth=depth), places, self._most(limit))))

    async def search_names(
        self,
        ctx: Ctx,
        pattern: Annotated[str, Field(max_length=500, description="Glob: *.py is about names, src/**/*.py about paths")],
        path: FolderPath = "",
        kind: Literal["any", "file", "directory"] = "any",
        limit: Annotated[int, Field(ge=1, le=1000)] = 100,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, shapes.Names]:
        """Find files and directories by name, at any depth."""
        places, question = self._tree.places(path), ["names", path, pattern, kind]
        begin = _position(question, cursor)
        wanted = search.Wanted(Globs([pattern], ignore_case=True), frozenset[Kind]() if kind == "any" else frozenset[Kind]((kind,)))
        answer, last = await self._work(
            lambda clock: search.names(search.Scope(self._tree, clock, places, begin), wanted, self._most(limit)), ctx
        )
        answer.next_cursor = _cursor(question, last)
        return said(answer)

    async def search_content(
        self,
        ctx: Ctx,
        query: Annotated[str, Field(min_length=1, max_length=1000, description="Text to find; with regex, an RE2 expression")],
        path: Annotated[str, Field(max_length=4096, description="Directory or file; empty: the top")] = "",
        files: Annotated[str | None, Field(max_length=500, description="Glob of the files to search, such as *.py")] = None,
        regex: bool = False,
        ignore_case: bool = False,
        context: Annotated[int, Field(ge=0, le=5, description="Lines before and after each match")] = 0,
        limit: Annotated[int, Field(ge=1, le=500)] = 50,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, shapes.Lines]:
        """Find lines in text files, at any depth."""
        places, question = self._tree.places(path), ["content", path, query, files, regex, ignore_case]
        begin = _position(question, cursor)
        pattern = _pattern(query, regex=regex, ignore_case=ignore_case)
        wanted = search.Query(pattern, Globs([files], ignore_case=True) if files else None, context, self._most(limit))
        answer, last = await self._work(lambda clock: search.lines(search.Scope(self._tree, clock, places, begin), wanted), ctx)
        answer.next_cursor = _cursor(question, last)
        return said(answer)

    async def file_info(self, path: Path) -> Annotated[CallToolResult, shapes.Info]:
        """Describe a file or directory: kind, size, time, type, encoding, and whether it may be changed."""
        place = self._tree.place(path)
        return said(await self._work(lambda _: info(self._tree, place)))

    def _most(self, limit: int) -> int:
        return min(limit, self._tree.limits.entries)

    async def _work(self, job: Callable[[Clock], T], ctx: Ctx | None = None) -> T:
        return await working(job, self._tree.limits.seconds, ctx)


@dataclass(frozen=True)
class Writing:
    """Writes are serialized, so that concurrent edits of a file do not conflict."""

    _tree: Tree
    _lock: Lock

    async def write_file(
        self,
        path: Path,
        content: str,
        overwrite: Annotated[bool, Field(description="Replace the file if there is one")] = False,
    ) -> Annotated[CallToolResult, shapes.Written]:
        """Write a whole text file, in a directory that exists. To change a part of a file, use edit_file."""
        place = self._tree.place(path)
        existing = "replace" if overwrite else "refuse"
        return said(await self._alone(lambda: write_text(self._tree, place, content, existing)))

    async def edit_file(
        self,
        path: Path,
        edits: Annotated[list[Edit], Field(min_length=1, max_length=100, description="One after the other; all or none")],
        dry_run: Annotated[bool, Field(description="Only show the diff")] = False,
    ) -> Annotated[CallToolResult, shapes.Edited]:
        """Replace exact pieces of a text file. Answers with a diff."""
        place = self._tree.place(path)
        return said(await self._alone(lambda: edit_text(self._tree, place, edits, dry_run=dry_run)))

    async def create_directory(self, path: FolderPath) -> Annotated[CallToolResult, shapes.Written]:
        """Create a directory, and those above it that are missing."""
        place = self._tree.place(path)
        return said(await self._alone(lambda: create_folder(self._tree, place)))

    async def move(
        self,
        source: Path,
        destination: Annotated[str, Field(max_length=4096, description="The new path, where nothing is yet")],
    ) -> Annotated[CallToolResult, shapes.Written]:
        """Move or rename a file or directory."""
        places = self._tree.place(source), self._tree.place(destination)
        return said(await self._alone(lambda: move(self._tree, *places)))

    async def _alone(self, job: Callable[[], T]) -> T:
        def locked(clock: Clock) -> T:
            with self._lock:
                clock.check()
                return job()

        return await working(locked, self._tree.limits.seconds)


def _pattern(query: str, *, regex: bool, ignore_case: bool) -> Pattern:
    if "\n" in query and not regex:
        raise BadPattern("query: one line at a time")
    return Pattern(query if regex else plain(query), ignore_case=ignore_case, lines=True)


def _position(question: object, cursor: str | None) -> search.Position:
    """Raises BadCursor."""
    if cursor is None:
        return search.Position()
    place, path, line = cursor_position(question, cursor, (int, str, int))
    if "\0" in path or ".." in path.split("/"):
        raise BadCursor("cursor: none of this server's")
    return search.Position(max(0, place), tuple(path.split("/")) if path else (), max(0, line))


def _cursor(question: object, at: search.Position | None) -> str | None:
    return next_cursor(question, [at.place, "/".join(at.path), at.line]) if at else None
