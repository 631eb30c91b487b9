"""Audio files become samples in a subprocess; whatever is in them ends in samples or in a clear reason, and the next file is decoded."""

import asyncio
import io
import os
import signal
import struct
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from numpy.typing import NDArray

from server.speech.api import AudioDecoder, AudioError, Recording
from server.speech.decoding.decoder import DecoderFailed, SandboxDecoder
from server.speech.decoding.limits import AudioLimits
from tests.server.speech.sounds import PITCH, RATE, encoded, pitch, tone, video_only, wav

LIMITS = AudioLimits(duration=60, seconds=60)
TWO_SECONDS = tone(2, 48_000)
ENCODINGS = {
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg, opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "mov, alac": ("mov", "alac"),
    "aiff": ("aiff", "pcm_s16be"),
    "caf": ("caf", "pcm_s16le"),
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[SandboxDecoder]:
    decoder = SandboxDecoder(LIMITS)
    yield decoder
    decoder.close()


def decode(decoder: AudioDecoder, data: bytes) -> NDArray[np.float32]:
    return asyncio.run(_decode(decoder, data))


async def _decode(decoder: AudioDecoder, data: bytes) -> NDArray[np.float32]:
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        async with decoder.decode(Path(file.name)) as recording:
            return recording.read(0, recording.samples)


def refused(decoder: AudioDecoder, data: bytes) -> tuple[str, str]:
    """Why, and its code."""
    with pytest.raises(AudioError) as error:
        decode(decoder, data)
    assert len(decode(decoder, wav(0.1))) == 1600  # the next one is decoded
    return str(error.value), error.value.code


@pytest.mark.parametrize("name", ENCODINGS)
def test_formats(decoder: AudioDecoder, name: str) -> None:
    samples = decode(decoder, encoded(TWO_SECONDS, *ENCODINGS[name]))
    assert 2 * RATE <= len(samples) < 2.05 * RATE  # AAC ends with a whole frame
    assert abs(pitch(samples) - PITCH) < 1 and 0.45 < np.abs(samples[RATE // 2 : -RATE // 2]).max() < 0.53


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 7])
def test_rates_and_channels(decoder: AudioDecoder, rate: int, channels: int) -> None:
    samples = decode(decoder, wav(1, rate, channels))
    assert abs(len(samples) - RATE) <= 1 and abs(pitch(samples) - PITCH) < 2
    assert np.abs(samples[1000:-1000]).max() == pytest.approx(16_000 / 32_768, abs=0.02)


def test_samples_are_what_was_recorded(decoder: AudioDecoder) -> None:
    assert np.array_equal(decode(decoder, wav(1)), tone(1).astype(np.float32) / 32_768)


def test_what_lies_above_the_highest_frequency_is_filtered_out(decoder: AudioDecoder) -> None:
    high = encoded(tone(1, 48_000, 11_000), "flac", "flac")  # would be heard at 5,000 Hz
    assert np.abs(decode(decoder, high)[1000:-1000]).max() < 1e-3


def test_a_part_of_a_recording(decoder: SandboxDecoder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(wav(1))

    async def run() -> None:
        async with decoder.decode(tmp_path / "a") as recording:
            check(recording)

    def check(recording: Recording) -> None:
        assert recording.samples == RATE
        assert np.array_equal(recording.read(500, 100), (tone(1)[500:600] / 32_768).astype(np.float32))
        assert len(recording.read(RATE - 10, 100)) == 10 and len(recording.read(RATE + 5, 100)) == 0

    asyncio.run(run())


def test_a_header_that_claims_four_gigabytes(decoder: AudioDecoder) -> None:
    """As programs write it that record into a pipe: what is there is what counts."""
    data = bytearray(wav(1))
    data[4:8], data[40:44] = struct.pack("<I", 0xFFFFFFFF), struct.pack("<I", 0xFFFFFFF0)
    assert np.array_equal(decode(decoder, bytes(data)), decode(decoder, wav(1)))


def test_a_file_that_was_cut_off_is_decoded_up_to_there(decoder: AudioDecoder) -> None:
    whole = encoded(TWO_SECONDS, "mp3", "libmp3lame")
    assert 0.8 * RATE < len(decode(decoder, whole[: len(whole) // 2])) < 1.2 * RATE


def test_a_few_damaged_packets_are_skipped(decoder: AudioDecoder) -> None:
    data = bytearray(encoded(TWO_SECONDS, "flac", "flac"))
    data[12_000:12_400] = bytes(400)
    assert RATE < len(decode(decoder, bytes(data))) < 2.05 * RATE


def _noise() -> bytes:
    return np.random.default_rng(0).bytes(100_000)


def _damaged() -> bytes:
    data = bytearray(encoded(TWO_SECONDS, "mp3", "libmp3lame"))
    data[2000::3] = bytes(byte ^ 0x5A for byte in data[2000::3])
    return bytes(data)


def _zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(50 << 20))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "why", "code"),
    [
        (b"", "is empty", "empty_audio"),
        (b"x", "no audio in one of wav, mp3", "unsupported_format"),
        (_noise(), "no audio in one of wav, mp3", "unsupported_format"),
        (bytes(100_000), "no audio in one of wav, mp3", "unsupported_format"),
        (_zip_bomb(), "no audio in one of wav, mp3", "unsupported_format"),
        (wav(0), "holds no sound", "empty_audio"),
        (video_only(), "no audio stream", "empty_audio"),
        (_damaged(), "most of its audio cannot be decoded", "invalid_audio"),
        (encoded(TWO_SECONDS, "ipod", "aac")[:3000], "no audio in one of wav, mp3", "unsupported_format"),  # its index is at the end
        (encoded(np.zeros(61 * 48_000, np.int16), "flac", "flac"), "longer than 60 seconds", "audio_too_long"),  # 20 kB that burst
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "no audio in one of wav, mp3", "unsupported_format"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "no audio in one of wav, mp3", "unsupported_format"),
    ],
)
def test_what_cannot_be_decoded_is_refused(decoder: AudioDecoder, data: bytes, why: str, code: str) -> None:
    said, told = refused(decoder, data)
    assert why in said and told == code


def test_a_file_that_takes_too_long_or_too_much_memory_is_given_up() -> None:
    for limits, why in ((AudioLimits(seconds=0.01), "longer than 0.01 seconds"), (AudioLimits(memory_bytes=1 << 20), "memory")):
        decoder = SandboxDecoder(limits, workers=1)
        with pytest.raises(AudioError, match=why):
            decode(decoder, encoded(np.zeros(1800 * 8_000, np.int16), "flac", "flac", 8_000))
        decoder.close()


def test_cancelling_ends_the_subprocess() -> None:
    decoder = SandboxDecoder(workers=1)

    async def cancelled() -> None:
        task = asyncio.create_task(_decode(decoder, wav(1)))
        while not (process := decoder._pool._processes[0]._process):
            await asyncio.sleep(0.01)
        os.kill(process.pid, signal.SIGSTOP)  # it never answers
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while process.poll() is None:
            await asyncio.sleep(0.01)

    began = time.monotonic()
    asyncio.run(cancelled())
    assert len(decode(decoder, wav(1))) == RATE and time.monotonic() - began < 60
    decoder.close()


def test_a_closed_decoder_says_so() -> None:
    closed = SandboxDecoder(workers=1)
    closed.close()
    with pytest.raises(DecoderFailed, match="the server ended"):
        decode(closed, wav(1))
