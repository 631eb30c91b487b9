"""Subtitles, and the names of languages."""

import pytest

from server.speech.api import Segment
from server.speech.languages import NAMES, language_code, language_name
from server.speech.subtitles import to_srt, to_vtt


def segment(start: float, end: float, text: str) -> Segment:
    return Segment(
        id=0,
        seek=0,
        start=start,
        end=end,
        text=text,
        tokens=(),
        temperature=0.0,
        avg_logprob=-0.1,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )


def test_srt() -> None:
    found = to_srt([segment(0.0, 1.9999, " One."), segment(3661.5, 3662, " Two\n\nlines --> no time")])
    assert found == "1\n00:00:00,000 --> 00:00:02,000\nOne.\n\n2\n01:01:01,500 --> 01:01:02,000\nTwo lines -> no time\n"


def test_vtt() -> None:
    found = to_vtt([segment(0.5, 2, " a < b & c")])
    assert found == "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\na &lt; b &amp; c\n"


def test_nothing_said() -> None:
    assert to_srt([]) == "" and to_vtt([]) == "WEBVTT\n"


@pytest.mark.parametrize(
    ("given", "code"),
    [("de", "de"), ("German", "de"), (" EN ", "en"), ("en-US", "en"), ("pt_BR", "pt"), ("Castilian", "es"), ("klingon", None), ("", None)],
)
def test_languages_are_given_by_code_or_name(given: str, code: str | None) -> None:
    assert language_code(given) == code


def test_every_language_is_found_by_its_name() -> None:
    assert {language_code(name) for name in NAMES.values()} == NAMES.keys()
    assert language_name("yue") == "cantonese" and language_name("xx") == "xx"
