"""Sounds, and files of them in the formats that people record in."""

import io
import wave

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

RATE = 16_000
PITCH = 440.0  # hertz

Pcm = NDArray[np.int16]


def tone(seconds: float, rate: int = RATE, pitch: float = PITCH) -> Pcm:
    return (16_000 * np.sin(2 * np.pi * pitch / rate * np.arange(round(seconds * rate)))).astype(np.int16)


def pitch(samples: NDArray[np.float32]) -> float:
    """Hertz of the loudest part."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


def wav(seconds: float, rate: int = RATE, channels: int = 1) -> bytes:
    """The tone in every channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes(np.repeat(tone(seconds, rate)[:, None], channels, axis=1).tobytes())
    return file.getvalue()


def encoded(samples: Pcm, container: str, codec: str, rate: int = 48_000) -> bytes:
    """One channel; container and codec by FFmpeg's names."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as target:
        stream = target.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or None
        )
        for frame in [*resampler.resample(_frame(samples, rate)), *resampler.resample(None), None]:
            target.mux(stream.encode(frame))
    return file.getvalue()


def video_only() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as target:
        _write_pictures(target)
    return file.getvalue()


def _frame(samples: Pcm, rate: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    return frame


def _write_pictures(target: OutputContainer) -> None:
    stream = target.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
    for _ in range(5):
        target.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
    target.mux(stream.encode(None))
