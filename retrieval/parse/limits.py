"""How much a file may take of what this machine has."""

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one file each."""

    file_bytes: int = 512 * MIB
    unpacked_bytes: int = 200 * MIB  # all entries of an archive together, as it states them
    entries: int = 10_000  # of an archive
    ratio: int = 100  # of an archive's larger entries, unpacked to packed
    pages: int = 10_000
    characters: int = 20_000_000  # of text found
    seconds: float = 120.0  # of waiting for the subprocess, and of its computing
    memory_bytes: int = 1024 * MIB  # of its address space
    documents: int = 500  # after which a subprocess makes way for a fresh one


class ParseError(Exception):
    """Why a file is not read, in words for whoever sent it. `code` as in retrieval.api.Unreadable."""

    def __init__(self, message: str, code: str = "invalid_file") -> None:
        super().__init__(message)
        self.code = code
