"""File metadata."""

import os
import stat

from mcp_servers.fs.listing import modified
from mcp_servers.fs.media import media_type, named_type
from mcp_servers.fs.roots import Place, Tree
from mcp_servers.fs.shapes import Info
from mcp_servers.fs.text import encoding_of, endings, head_of
from mcp_servers.fs.walk import Entry, Folder, found, kind, opened


def info(tree: Tree, place: Place) -> Info:
    """Follows links. Raises Refused."""
    with found(tree, place) as there:
        status = os.fstat(there.fd) if isinstance(there, Folder) else there.stat
        described = Info(
            path=there.place.shown,
            kind=kind(status),
            modified=modified(status),
            mode=stat.filemode(status.st_mode),
            writable=tree.writable(there.place) and (status.st_nlink == 1 or isinstance(there, Folder)),
        )
        if isinstance(there, Entry) and stat.S_ISREG(status.st_mode):
            _add_content(tree, there, described)
        return described


def _add_content(tree: Tree, entry: Entry, described: Info) -> None:
    with opened(tree, entry) as file:
        head = head_of(file)
    described.size = entry.stat.st_size
    described.mime_type = media_type(head) or named_type(entry.name)
    described.encoding = encoding_of(head)
    described.line_endings = endings(head.decode(described.encoding, "replace")) if described.encoding else None
