"""Answers that go in circles."""

import pytest

from server.circles import Circles


def said(text: str, size: int) -> int | None:
    """After how many characters the circle was noticed, when the text comes in pieces of `size`."""
    circles = Circles()
    for start in range(0, len(text), size):
        if circles.push(text[start : start + size]):
            return start + size
    return None


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_the_third_time_is_noticed(size: int) -> None:
    circle = "You cannot leave without a reservation.\n\n"
    text = "There are 31 days of leave. " + circle * 5
    noticed = said(text, size)
    assert noticed is not None and noticed >= len("There are 31 days of leave. " + circle * 2)
    assert size > 100 or noticed <= len("There are 31 days of leave. " + circle * 3) + size


def test_a_circle_of_several_sentences() -> None:
    assert said("It is in Berlin, I think. No, it is in Bonn. " * 3, 4) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Yes. Yes. Yes. It is so. ",
        "It is in Berlin, I am sure. It is in Berlin, I am sure. Or is it? ",
        "| a | b |\n| - | - |\n| 1 | 2 |\n| 3 | 4 |\n",
        "first thing to be done here. second thing to be done here. first thing to be done here. third thing to be done. " * 2,
    ],
)
def test_what_is_no_circle(text: str) -> None:
    assert said(text, 5) is None
