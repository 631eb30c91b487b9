"""What vLLM's worker processes tell this one of answers in the making, beside their tokens: numbers in a file that all have mapped.

A worker writes a note before the token that it is about leaves it, so that whoever has the token finds the note. Notes count tokens of
the answer: a worker may be ahead of who reads.
"""

import os
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

NEVER = -1
WIDTH = 3


class End(IntEnum):
    """How an answer ends that no token ends."""

    STOP = 0  # its grammar is complete, and nothing may follow
    LENGTH = 1  # it was brought to its end, goes in circles, or its grammar has failed
    ABORT = 2  # the model's numbers are none


class Note(NamedTuple):
    forced: int = NEVER  # tokens before the engine began to write the answer's end
    end: int = NEVER  # tokens of the whole answer
    how: int = End.STOP  # it ends; means nothing without `end`


class Board:
    """Notes by places."""

    def __init__(self, path: Path) -> None:
        """Of a file that exists."""
        self.path = path
        self._notes = np.memmap(path, np.int32, "r+").reshape(-1, WIDTH)

    @classmethod
    def create(cls, places: int) -> "Board":
        """In a temporary file, which `delete` deletes."""
        handle, name = tempfile.mkstemp(prefix="stoa-answers-")
        with os.fdopen(handle, "wb") as file:
            file.write(np.tile(np.array(Note(), np.int32), places).tobytes())
        return cls(Path(name))

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, place: int, note: Note) -> None:
        self._notes[place] = note

    def read(self, place: int) -> Note:
        return Note(*map(int, self._notes[place]))
