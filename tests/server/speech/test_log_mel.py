"""The front end, against the one that the models were trained on."""

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from server.speech.log_mel import LogMel

RATE = 16_000
TIME = np.arange(30 * RATE) / RATE
NOISE = np.random.default_rng(0)
SOUNDS: dict[str, NDArray[np.float64]] = {
    "chirp": 0.5 * np.sin(2 * np.pi * (50 * TIME + 130 * TIME**2)),  # to 7,850 Hz
    "noise": NOISE.normal(0, 0.2, 30 * RATE),
    "whisper": NOISE.normal(0, 1e-4, 30 * RATE),
    "silence": np.zeros(30 * RATE),
    "loud to the end": np.sign(np.sin(2 * np.pi * 300 * TIME)),
    "click": np.eye(1, 30 * RATE, 100_000)[0],
    "short": NOISE.normal(0, 0.2, 12_345),
    "one frame": NOISE.normal(0, 0.2, 160),
    "one sample": np.ones(1),
    "nothing": np.zeros(0),
    "too long": NOISE.normal(0, 0.2, 31 * RATE),
}


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("name", SOUNDS)
def test_as_the_oracle_hears_it(name: str, bins: int) -> None:
    sound = SOUNDS[name].astype(np.float32)
    heard = LogMel(bins)(sound)
    told = WhisperFeatureExtractor(feature_size=bins)(sound, sampling_rate=RATE, return_tensors="np").input_features[0]
    assert heard.shape == (3000, bins) and heard.dtype == np.float32
    assert np.abs(heard.T - told).max() < 1e-4


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0, 29.99])
def test_silence_behind_a_sound_may_be_there_or_not(seconds: float) -> None:
    """What is left out of the computation changes nothing."""
    sound = SOUNDS["noise"][: int(seconds * RATE)].astype(np.float32)
    whole = np.zeros(30 * RATE, np.float32)
    whole[: len(sound)] = sound
    assert np.abs(LogMel(80)(sound) - LogMel(80)(whole)).max() < 1e-5
