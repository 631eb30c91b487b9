"""Text edits: every old text must occur exactly as often as expected, or nothing is changed."""

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mcp_servers.fs.put import put
from mcp_servers.fs.roots import Place, Refused, Tree
from mcp_servers.fs.shapes import Edited
from mcp_servers.fs.text import ENDS, endings, errors_of, text_encoding
from mcp_servers.fs.walk import File, told
from mcp_servers.fs.write import encoded, fitting, open_to_write, writable

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
    """The text with \\n line ends, and its original encoding and line end."""

    text: str
    encoding: str
    end: str


def edit_text(tree: Tree, place: Place, edits: Sequence[Edit], *, dry_run: bool) -> Edited:
    """Raises Refused."""
    with writable(tree, place) as (folder, name), told(place), open_to_write(tree, folder, name) as file:
        before = _before(tree, file)
        after = before.text
        for number, edit in enumerate(edits):
            after = _applied(after, edit, number, tree.limits.write_bytes)
        changed = after != before.text
        data = fitting(tree, place, encoded(after.replace("\n", before.end), before.encoding, place, errors_of(before.encoding)))
        if changed and not dry_run:
            put(folder, name, data, file)
    diff = _diff(before.text, after, place.shown).encode("utf-8", "replace")
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
    ending = endings(text)
    end = ENDS.get(ending, "\n")
    return _Before(text.replace(end, "\n"), encoding, end)


def _applied(text: str, edit: Edit, number: int, most: int) -> str:
    """Raises Refused, before building a text that is too large."""
    old, new = (part.replace("\r\n", "\n") if "\r" not in text else part for part in (edit.old_text, edit.new_text))
    count = text.count(old)
    if count != edit.count:
        raise Refused(f"edits[{number}]: old_text stands there {count} times, not {edit.count}; {_advice(text, count)}")
    if len(text) + count * (len(new) - len(old)) > most:
        raise Refused(f"edits[{number}]: the text would be larger than {most} bytes")
    return text.replace(old, new)


def _advice(text: str, count: int) -> str:
    if count:
        return "take more of the lines around it, or say count"
    return "the file mixes line endings: edit within one line" if "\r" in text else "copy it exactly from the file"


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
