"""Recordings, as files of samples and in memory. Implements server.speech.api.Recording."""

import os
from typing import IO

import numpy as np

from server.speech.api import RATE, Samples
from server.speech.decoding.limits import SAMPLE_BYTES

FULL_SCALE = 32768.0  # of a 16-bit sample


class SampleFile:
    """16-bit samples, in the machine's byte order; read from the file each time, so that hours of sound take no memory. A context
    manager that closes the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._samples = os.fstat(file.fileno()).st_size // SAMPLE_BYTES

    def __enter__(self) -> "SampleFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def samples(self) -> int:
        return self._samples

    @property
    def duration(self) -> float:
        """Seconds."""
        return self._samples / RATE

    def read(self, start: int, count: int) -> Samples:
        data = os.pread(self._file.fileno(), count * SAMPLE_BYTES, start * SAMPLE_BYTES)
        return np.frombuffer(data[: len(data) // SAMPLE_BYTES * SAMPLE_BYTES], np.int16).astype(np.float32) / FULL_SCALE

    def close(self) -> None:
        self._file.close()


class SampleArray:
    """Samples in memory."""

    def __init__(self, samples: Samples) -> None:
        self._array = samples

    @property
    def samples(self) -> int:
        return len(self._array)

    def read(self, start: int, count: int) -> Samples:
        return self._array[start : start + count]
