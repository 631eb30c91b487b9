"""MathML in one line: fractions with a slash, powers and indices raised and lowered."""

from lxml import html

from retrieval.parse.common.typography import subscript, superscript

_TEX = "application/x-tex"
_SCRIPTS = {"msup": (superscript,), "msub": (subscript,), "msubsup": (subscript, superscript)}
_SIMPLE = frozenset("0123456789.,")


def text(element: html.HtmlElement) -> str:
    """Of a `math` element or one within it. The source in TeX is left out where the formula itself is there."""
    tag = str(element.tag).rpartition("}")[2]
    inner = [text(child) for child in element if isinstance(child.tag, str)]
    if tag in ("annotation", "annotation-xml"):
        return ""
    if tag == "mfrac" and len(inner) == 2:
        return f"{_grouped(inner[0])}/{_grouped(inner[1])}"
    if tag in _SCRIPTS and len(inner) == len(_SCRIPTS[tag]) + 1:
        return inner[0] + "".join(place(part) for place, part in zip(_SCRIPTS[tag], inner[1:], strict=True))
    if tag == "msqrt":
        return f"√({''.join(inner)})"
    if tag == "mroot" and len(inner) == 2:
        return f"{superscript(inner[1])}√({inner[0]})"
    if tag == "mtr":
        return " ".join(inner) + "; "
    own = " ".join((element.text or "").split())
    return f" {own} " if tag == "mo" and own in "=<>≤≥≈≠→" and own else own + "".join(inner)


def _grouped(part: str) -> str:
    return part if part.isalnum() or set(part) <= _SIMPLE else f"({part})"
