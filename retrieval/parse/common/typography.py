"""Positions and strokes that carry meaning, written in plain text: superscripts, subscripts, struck-out text.

10<sup>6</sup> is not 106, and a struck-out price is not the valid one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

_SUPERSCRIPTS = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_SUBSCRIPTS = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_RAISED = re.compile(r"[\d+\-−=()]*\d[\d+\-−=()]*|[+\-−ni]")  # has characters of its own in Unicode
_LOWERED = re.compile(r"[\d+\-−=()]*\d[\d+\-−=()]*|[+\-−]")
_ORDINAL = re.compile(r"[^\W\d_]{2,}\.?|[eaoºª®©™°*†‡§'′″]+")  # 1st, 2e, Mme, ™: no exponents, and footnote signs that stand out


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text in one position."""

    text: str
    place: str | None = None  # superscript, subscript; others are the line's
    struck: bool = False


def superscript(text: str) -> str:
    """As Unicode superscripts where they exist (10⁶), endings and signs as they are (1st), else after a caret (2^x, 2^(n+x))."""
    return _placed(text, _RAISED, _SUPERSCRIPTS, "^")


def subscript(text: str) -> str:
    """As Unicode subscripts where they exist (H₂O), words as they are, else after an underscore (x_k, x_(k+1))."""
    return _placed(text, _LOWERED, _SUBSCRIPTS, "_")


def struck(text: str) -> str:
    """Struck-out text in the notation of Markdown: ~~90~~."""
    inner = text.strip()
    return text.replace(inner, f"~~{inner}~~", 1) if inner else text


def joined(segments: Iterable[Segment]) -> str:
    """Neighbours of one kind are one: word processors split runs anywhere."""
    texts = list[str]()
    for (place, is_struck), group in groupby((one for one in segments if one.text), key=lambda one: (one.place, one.struck)):
        text = "".join(one.text for one in group)
        text = superscript(text) if place == "superscript" else subscript(text) if place == "subscript" else text
        texts.append(struck(text) if is_struck else text)
    return "".join(texts)


def _placed(text: str, own: re.Pattern[str], table: dict[int, int], mark: str) -> str:
    inner = text.strip()
    if not inner:
        return text
    if own.fullmatch(inner):
        return text.translate(table)
    if "," in inner and all(own.fullmatch(part.strip()) for part in inner.split(",")):  # several footnotes
        return ",".join(part.strip().translate(table) for part in inner.split(","))
    if _ORDINAL.fullmatch(inner) or not any(map(str.isalnum, inner)) or " " in inner:
        return text
    return f"{mark}{inner}" if len(inner) == 1 else inner if inner[0] in "[(" else f"{mark}({inner})"
