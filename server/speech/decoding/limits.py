"""What a recording may take, and why one is refused."""

from dataclasses import dataclass
from typing import Literal

HOUR = 3600.0  # seconds
RATE = 16_000  # samples a second, as in server.speech.api, which the subprocess does not import
SAMPLE_BYTES = 2

Code = Literal["unsupported_format", "invalid_audio", "empty_audio", "audio_too_long"]  # of server.speech.api.AudioError
CODES: tuple[Code, ...] = ("unsupported_format", "invalid_audio", "empty_audio", "audio_too_long")


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioLimits:
    """Per file, except `files`."""

    duration: float = 4 * HOUR  # seconds of sound
    seconds: float = 300.0  # wall-clock wait for the subprocess, and its processor time
    memory_bytes: int = 1 << 30  # address space of the process that decodes
    files: int = 500  # decoded by a subprocess before it is replaced


class Refused(Exception):
    """In the subprocess; becomes an AudioError."""

    def __init__(self, message: str, code: Code) -> None:
        super().__init__(message)
        self.code: Code = code
