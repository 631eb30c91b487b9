"""Files of tests/data that are packed together."""

import tarfile
from functools import cache
from pathlib import Path


@cache
def _members(archive: str) -> dict[str, bytes]:
    with tarfile.open(Path(__file__).parent / "data" / archive) as packed:
        return {member.name: file.read() for member in packed if (file := packed.extractfile(member))}


def document(name: str) -> bytes:
    """A file as an office program, a mail client or a renderer of pages has made it."""
    return _members("files.tar.xz")[name]


def chat_templates() -> dict[str, str]:
    """By file name."""
    return {name: content.decode() for name, content in _members("chat_templates.tar.xz").items()}
