"""The log-mel spectrogram that Whisper's encoder reads (Radford et al. 2022, arXiv 2212.04356, section 2.2): numbers as those of
transformers' WhisperFeatureExtractor, which the models were trained on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from server.speech.api import RATE, Samples

HOP = 160  # samples from frame to frame: 10 ms
WINDOW = 400  # samples of a frame: 25 ms
FLOOR = 1e-10  # of power: silence
RANGE = 8.0  # tenfold powers below the loudest, under which nothing is told apart

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LogMel:
    bins: int  # 80, or 128 (large-v3)
    frames: int = 3000  # of a window: 30 s

    @property
    def samples(self) -> int:
        """Of a window."""
        return self.frames * HOP

    def __call__(self, samples: Samples) -> Floats:
        """[frames, bins] of one window. What is shorter is filled up with silence, what is longer is cut off."""
        heard = samples[: self.samples].astype(np.float32)
        power = _power(_padded(heard, self.samples), min(self.frames, len(heard) // HOP + 3))
        told: Floats = np.full((self.frames, self.bins), np.log10(FLOOR), np.float32)  # frames of silence alone are not computed
        np.log10(np.maximum(power @ self._filters, FLOOR), out=told[: len(power)])
        np.maximum(told, told.max() - RANGE, out=told)
        return (told + np.float32(4)) / np.float32(4)

    @cached_property
    def _filters(self) -> Floats:
        return mel_filters(self.bins)


def mel_filters(bins: int) -> Floats:
    """[WINDOW // 2 + 1, bins]: triangles between 0 and 8,000 Hz, evenly spaced on the mel scale of Slaney's Auditory Toolbox (linear below
    1,000 Hz, logarithmic above), each of the same area."""
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    corners = _hertz(np.linspace(0, _mel(RATE / 2), bins + 2))
    slopes = corners[None, :] - frequencies[:, None]
    widths = np.diff(corners)
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (corners[2:] - corners[:-2])).astype(np.float32)


def _mel(hertz: float) -> float:
    """Of 1,000 Hz and more."""
    return 15 + np.log(hertz / 1000) * 27 / np.log(6.4)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))


def _padded(heard: Samples, count: int) -> Samples:
    """So many samples, and half a frame before and behind them, reflected."""
    return np.pad(np.pad(heard, (0, count - len(heard))), WINDOW // 2, mode="reflect")


def _power(padded: Samples, frames: int) -> Floats:
    """[frames, WINDOW // 2 + 1]: the spectrum of each, under a periodic Hann window."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: frames * HOP : HOP]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    spectrum = np.fft.rfft(windows * hann).astype(np.complex64, copy=False)
    return spectrum.real**2 + spectrum.imag**2
