"""Answers that go in circles."""

import pytest

from server.chat.repetition import RepetitionDetector


def said(text: str, size: int, passages: int = 4) -> int | None:
    """After how many characters the circle was noticed, when the text comes in pieces of `size`."""
    circles = RepetitionDetector(passages)
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


def counted(form: str, count: int = 200) -> str:
    return "It is so " + "".join(form.format(number) for number in range(1, count))


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("form", ["[{}] ", "[{}]", "[{}]\n", "[{}], ", "\n- [{}]", "\n{}. [1]"])
def test_counting_marks_is_a_circle(form: str, size: int) -> None:
    noticed = said(counted(form), size)
    assert noticed is not None and noticed <= len(counted(form, 12)) + size
    many = said(counted(form), size, passages=50)
    assert many is not None and len(counted(form, 49)) < many <= len(counted(form, 60))


def test_counting_within_one_mark_is_a_circle() -> None:
    assert said("It is so [1, " + counted("{}, ")[9:], 3) is not None


@pytest.mark.parametrize(
    "text",
    [
        "All say so [1] [2] [3] [4]. They also say [1][2][3][4][1]. And more [1] [2] [3] [4]. So be it. ",
        "The first are [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]. ",
        "It grows: " + "".join(f"{year}, " for year in range(1900, 2000)),
        "".join(f"{number}. Item [{number % 4 + 1}]\n" for number in range(30)),
    ],
)
def test_marks_with_reason(text: str) -> None:
    assert said(text, 4) is None
