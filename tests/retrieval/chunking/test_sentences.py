"""Sentences end where a reader would say so, in several scripts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunking.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith met J. R. Smith, e.g. in Fig. 3 of vol. 2. Then he left.",
            ["Dr. Smith met J. R. Smith, e.g. in Fig. 3 of vol. 2.", "Then he left."],
        ),
        ("It costs 3.14 euros at example.com. Really.", ["It costs 3.14 euros at example.com.", "Really."]),
        ("the flow is steady. the wing is thin .", ["the flow is steady.", "the wing is thin ."]),
        ('He said "Go." Then (he went.) And so on', ['He said "Go."', "Then (he went.)", "And so on"]),
        ("It is 40 kg.[1] It is more [2, 3]. End", ["It is 40 kg.[1]", "It is more [2, 3].", "End"]),
        ("これは文です。次の文です。「はい。」と言った", ["これは文です。", "次の文です。", "「はい。」", "と言った"]),
        ("यह वाक्य है। दूसरा वाक्य।", ["यह वाक्य है।", "दूसरा वाक्य।"]),
        ("A title\n\nA paragraph", ["A title", "A paragraph"]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


@given(st.text("aB1.!?。 \n[]\"'", max_size=80))
def test_they_hold_all_that_is_not_space(text: str) -> None:
    spans = sentences(text)
    assert all(start < end and text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(before <= after for (_, before), (after, _) in pairwise(spans))
    assert "".join("".join(text[start:end] for start, end in spans).split()) == "".join(text.split())
