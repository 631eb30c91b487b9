"""Raised and lowered characters never merge with what stands before them into another number or word."""

import pytest

from retrieval.parse.common.typography import struck, subscript, superscript


@pytest.mark.parametrize(
    ("before", "raised", "written"),
    [
        ("10", "6", "10⁶"),
        ("10", "-3", "10⁻³"),
        ("500", "1", "500¹"),
        ("m", "2", "m²"),
        ("120", "2, 3", "120²,³"),
        ("2", "n", "2ⁿ"),
        ("2", "n+1", "2^(n+1)"),
        ("2", "x", "2^x"),
        ("1", "st", "1st"),
        ("3", "e", "3e"),
        ("price", "*", "price*"),
        ("12", "[4]", "12[4]"),
        ("a", " ", "a "),
    ],
)
def test_superscripts(before: str, raised: str, written: str) -> None:
    assert before + superscript(raised) == written


@pytest.mark.parametrize(("lowered", "written"), [("2", "₂"), ("10", "₁₀"), ("k", "_k"), ("k+1", "_(k+1)"), ("max", "max"), ("", "")])
def test_subscripts(lowered: str, written: str) -> None:
    assert subscript(lowered) == written


def test_struck_text_keeps_its_spaces() -> None:
    assert struck("90 ") + "120" == "~~90~~ 120" and struck(" ") == " "
