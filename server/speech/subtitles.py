"""Segments as subtitles: SubRip, and WebVTT (W3C). A line break in a text would begin another line of the file, and an arrow a time."""

from collections.abc import Sequence

from server.speech.api import Segment


def to_srt(segments: Sequence[Segment]) -> str:
    cues = [f"{number}\n{_times(segment, ',')}\n{_line(segment.text)}\n" for number, segment in enumerate(segments, 1)]
    return "\n".join(cues)


def to_vtt(segments: Sequence[Segment]) -> str:
    cues = [f"{_times(segment, '.')}\n{_escaped(_line(segment.text))}\n" for segment in segments]
    return "\n".join(["WEBVTT\n", *cues])


def _times(segment: Segment, point: str) -> str:
    return f"{_time(segment.start, point)} --> {_time(segment.end, point)}"


def _time(seconds: float, point: str) -> str:
    """HH:MM:SS and milliseconds."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest:02}{point}{thousandths % 1000:03}"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    """WebVTT knows marks as HTML does."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
