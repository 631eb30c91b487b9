"""Result types of the file tools."""

from typing import Literal

from pydantic import BaseModel, Field

from mcp_servers.fs.walk import Kind

Ending = Literal["lf", "crlf", "cr", "mixed", "none"]


class Item(BaseModel):
    name: str
    kind: Kind
    size: int | None = Field(default=None, description="Bytes, of a file")
    modified: str | None = Field(default=None, description="UTC")


class Listing(BaseModel):
    path: str
    entries: list[Item]
    next_cursor: str | None = Field(default=None, description="There is more: pass it as cursor")


class Drawing(BaseModel):
    path: str
    tree: str = Field(description="One line per entry, indented; directories end with /")
    entries: int
    truncated: bool


class Names(BaseModel):
    paths: list[str] = Field(description="Directories end with /")
    truncated: bool = Field(default=False, description="Not everything was looked at")
    next_cursor: str | None = Field(default=None, description="There is more: pass it as cursor")


class Line(BaseModel):
    path: str
    line: int = Field(description="Counted from 1")
    text: str
    before: list[str] | None = None
    after: list[str] | None = None


class Lines(BaseModel):
    matches: list[Line]
    files_searched: int
    files_skipped: int = Field(description="Binary, too large or not readable")
    truncated: bool = Field(default=False, description="Not everything was looked at")
    note: str | None = None
    next_cursor: str | None = Field(default=None, description="There is more: pass it as cursor")


class Text(BaseModel):
    path: str
    text: str
    first_line: int = Field(description="Counted from 1; 0 where there is no line")
    last_line: int
    encoding: str
    line_endings: Ending = Field(description="In the file; the text has \\n")
    truncated: bool = Field(description="There is more text than this")
    next_line: int | None = Field(default=None, description="start_line of what comes next")
    note: str | None = None


class Media(BaseModel):
    path: str
    mime_type: str
    size: int


class Info(BaseModel):
    path: str
    kind: Kind
    size: int | None = None
    modified: str
    mode: str = Field(description="As ls writes it")
    mime_type: str | None = None
    encoding: str | None = Field(default=None, description="Of a text; judged by its beginning")
    line_endings: Ending | None = None
    writable: bool = Field(description="Whether the tools of this server may change it")


class Written(BaseModel):
    path: str
    action: Literal["created", "replaced", "existed", "moved"]
    size: int | None = None


class Edited(BaseModel):
    path: str
    replacements: int
    written: bool = Field(description="false: this was a dry run, or nothing changed")
    diff: str = Field(description="Unified")
    truncated: bool = Field(default=False, description="The diff was cut; the edit is whole")
