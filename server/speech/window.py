"""What of a recording is heard at once."""

from dataclasses import dataclass

import numpy as np

from engine.api import Frames
from server.speech.api import Recording
from server.speech.log_mel import HOP, LogMel

QUIET = 2.0**-14  # amplitude: two steps of a 16-bit sample, as dither has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    seek: int  # frames from the recording's beginning
    size: int  # frames of it that are of the recording; the rest is silence
    frames: Frames | None  # None: there is nothing but digital silence


def frame_count(recording: Recording) -> int:
    return recording.samples // HOP


def read_window(recording: Recording, seek: int, log_mel: LogMel) -> Window:
    samples = recording.read(seek * HOP, log_mel.samples)
    size = len(samples) // HOP
    if np.abs(samples).max(initial=0.0) <= QUIET:
        return Window(seek=seek, size=size, frames=None)
    return Window(seek=seek, size=size, frames=Frames(log_mel(samples)))
