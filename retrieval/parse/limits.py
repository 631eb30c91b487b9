"""Resource limits for parsing a file."""

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Per file, except `documents`."""

    file_bytes: int = 512 * MIB
    unpacked_bytes: int = 200 * MIB  # total of all archive entries, as the archive declares it
    entries: int = 10_000  # of an archive
    ratio: int = 100  # unpacked to packed size, for an archive's larger entries
    pages: int = 10_000
    characters: int = 20_000_000  # of extracted text
    seconds: float = 120.0  # wall-clock wait for the subprocess, and its CPU time
    memory_bytes: int = 1024 * MIB  # address space of the process that parses
    pictures: int = 0  # that are taken out of it
    picture_bytes: int = 32 * MIB  # of these, all together
    documents: int = 500  # files parsed by a subprocess before it is replaced


class ParseError(Exception):
    """A file cannot be parsed; the message is for the user who sent it. `code` as in retrieval.api.Unreadable. `convert_to`: ending of the
    format that it could be converted into and then be read, "" if there is none."""

    def __init__(self, message: str, code: str = "invalid_file", *, convert_to: str = "") -> None:
        super().__init__(message)
        self.code, self.convert_to = code, convert_to
