"""Text edits: every old text must occur exactly as often as expected, or nothing is changed. Each line keeps its own end."""

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mcp_servers.fs.roots import Place, Refused, Tree
from mcp_servers.fs.shapes import Edited
from mcp_servers.fs.text import errors_of, text_encoding
from mcp_servers.fs.walk import File, told
from mcp_servers.fs.writing.line_ends import Lines, lines_of
from mcp_servers.fs.writing.put import put
from mcp_servers.fs.writing.write import encoded, fitting, open_to_write, writable

DIFF_LINES = 2000  # larger changed regions are shown as a single hunk
AROUND = 3  # context lines
_HUNK = re.compile(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@")


class Edit(BaseModel):
    model_config = ConfigDict(extra="forbid")

    old_text: Annotated[str, Field(min_length=1, description="Exactly as it stands in the file; lines end with \\n here")]
    new_text: Annotated[str, Field(description="What takes its place")]
    count: Annotated[int, Field(ge=1, le=10_000, description="How often old_text stands in the file; all of them are replaced")] = 1


@dataclass(frozen=True, slots=True)
class _Before:
    lines: Lines
    encoding: str


def edit_text(tree: Tree, place: Place, edits: Sequence[Edit], *, dry_run: bool) -> Edited:
    """Raises Refused."""
    with writable(tree, place) as (folder, name), told(place), open_to_write(tree, folder, name) as file:
        before = _before(tree, file)
        after = before.lines
        for number, edit in enumerate(edits):
            after = _applied(after, edit, number, tree.limits.write_bytes)
        changed = after != before.lines
        data = fitting(tree, place, encoded(after.written(), before.encoding, place, errors_of(before.encoding)))
        if changed and not dry_run:
            put(folder, name, data, file)
    diff = _difference(before.lines, after, place.shown).encode("utf-8", "replace")
    most = tree.limits.text_bytes
    return Edited(
        path=place.shown,
        replacements=sum(edit.count for edit in edits),
        written=changed and not dry_run,
        diff=diff[:most].decode(errors="ignore"),
        truncated=len(diff) > most,
    )


def _before(tree: Tree, file: File) -> _Before:
    if file.stat.st_size > tree.limits.write_bytes:
        raise Refused(f"{file.place.shown}: larger than the {tree.limits.write_bytes} bytes that may be edited")
    encoding = text_encoding(file)
    try:
        text = os.pread(file.fd, file.stat.st_size, 0).decode(encoding, errors_of(encoding))
    except UnicodeDecodeError:
        raise Refused(f"{file.place.shown}: not all of it is {encoding}; an edit would spoil it") from None
    return _Before(lines_of(text), encoding)


def _applied(lines: Lines, edit: Edit, number: int, most: int) -> Lines:
    """Raises Refused, before building a text that is too large."""
    old, new, raw = lines_of(edit.old_text).text, lines_of(edit.new_text).text, _raw(lines, edit)
    count = edit.count if raw else lines.text.count(old)
    if count != edit.count:
        advice = "take more of the lines around it, or say count" if count else "copy it exactly from the file"
        raise Refused(f"edits[{number}]: old_text stands there {count} times, not {edit.count}; {advice}")
    if len(lines.text) + count * (len(edit.new_text) - len(edit.old_text)) > most:
        raise Refused(f"edits[{number}]: the text would be larger than {most} bytes")
    return lines_of(raw.replace(edit.old_text, edit.new_text)) if raw else lines.replaced(old, new)


def _raw(lines: Lines, edit: Edit) -> str | None:
    """The text as it stands, if it mixes the ends of lines and `edit` names them as they are: it may change them."""
    raw = lines.written() if lines.mixed and "\r" in edit.old_text else ""
    return raw if raw.count(edit.old_text) == edit.count else None


def _difference(before: Lines, after: Lines, path: str) -> str:
    """The ends of lines are shown where they alone change."""
    return _diff(before.written(), after.written(), path) if before.text == after.text else _diff(before.text, after.text, path)


def _diff(before: str, after: str, path: str) -> str:
    """Unified diff. Only the region from the first to the last changed line is compared, as difflib can be slow."""
    old, new = list(StringIO(before)), list(StringIO(after))
    start = _shared(old, new)
    end = _shared(old[start:][::-1], new[start:][::-1])
    first = max(0, start - AROUND)
    old, new = (part[first : len(part) - max(0, end - AROUND)] for part in (old, new))
    if max(len(old), len(new)) > DIFF_LINES:
        lines = [f"@@ -1,{len(old)} +1,{len(new)} @@\n", *(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        lines = list(difflib.unified_diff(old, new, n=AROUND))[2:]
    if not lines:
        return ""
    shifted = (_HUNK.sub(lambda hunk: _shifted(hunk, first), line) if line.startswith("@@") else line for line in lines)
    ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in shifted)
    return f"--- {path}\n+++ {path}\n{''.join(ended)}"


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Number of equal lines at the beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shifted(hunk: "re.Match[str]", by: int) -> str:
    old, old_size, new, new_size = hunk.groups(default="")
    return f"@@ -{int(old) + by}{old_size} +{int(new) + by}{new_size} @@"
