"""Decodes audio by FFmpeg, through PyAV.

FFmpeg knows hundreds of formats. Playlists, which name other files, and formats that nobody records in are refused, and pictures are
not looked at: only what is listed here is ever opened."""

from collections.abc import Iterator
from itertools import chain, groupby
from typing import IO

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError

from server.speech.decoding.limits import RATE, SAMPLE_BYTES, Refused

FORMATS = "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav"  # by their demuxers: mov is MP4 and M4A, matroska WebM
KNOWN = "wav, mp3, flac, ogg, opus, m4a, mp4, webm, aac, aiff, caf, amr, wma"  # as people call them
CODECS = (
    "aac,ac3,adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,eac3,flac,mp1float,mp2float,mp3,mp3float,opus,pcm_alaw,pcm_f32be,pcm_f32le,pcm_f64be,"
    "pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8,vorbis,wmav1,wmav2"
)


def write_samples(source: IO[bytes], target: IO[bytes], duration: float) -> None:
    """The first stream of sound, mixed down to one channel. Raises Refused, also beyond `duration` seconds."""
    most, written = int(duration * RATE), 0
    with _open(source) as container:
        for samples, data in _samples(container):
            written += samples
            if written > most:
                raise Refused(f"the recording is longer than {_length(duration)}; split it", "audio_too_long")
            target.write(data)
    if not written:
        raise Refused("the file holds no sound: its audio is empty", "empty_audio")


def _length(seconds: float) -> str:
    return f"{seconds / 3600:g} hours" if seconds >= 7200 else f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def _open(source: IO[bytes]) -> InputContainer:
    options = {"format_whitelist": FORMATS, "codec_whitelist": CODECS, "protocol_whitelist": ""}
    try:
        return av.open(source, mode="r", options=options)
    except (FFmpegError, ValueError) as error:
        raise Refused(f"the file is damaged, or no audio in one of {KNOWN} ({_reason(error)})", "unsupported_format") from None


def _samples(container: InputContainer) -> Iterator[tuple[int, bytes]]:
    """How many, and the samples themselves."""
    if not container.streams.audio:
        raise Refused("the file holds no audio stream", "empty_audio")
    for _, frames in groupby(_frames(container), _form):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in chain(frames, (None,)):
            for made in resampler.resample(frame):
                yield made.samples, bytes(made.planes[0])[: made.samples * SAMPLE_BYTES]


def _form(frame: AudioFrame) -> tuple[str, str, int]:
    """It may change within a stream; then what resamples begins anew."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """A damaged packet is skipped, as players do; a file of which most packets are damaged is refused."""
    stream = container.streams.audio[0]
    stream.codec_context.thread_type = "NONE"  # the process may have one thread only
    good, bad = 0, 0
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
                good += 1
            except InvalidDataError:
                bad += 1
    except (FFmpegError, ValueError) as error:
        raise Refused(f"the file's audio cannot be decoded ({_reason(error)})", "unsupported_format") from None
    if bad > good:
        raise Refused("the file is damaged: most of its audio cannot be decoded", "invalid_audio")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error))[:200]
