"""Equations of Office documents (Office MathML, ECMA-376 part 1, chapter 22.1) as a line of text: (a+b)/2, x², √(y), ∑_(i=1)^n."""

from collections.abc import Callable
from typing import Any

from retrieval.parse.common.typography import subscript, superscript

Element = Any  # of lxml
MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"
EQUATIONS = (f"{{{MATH}}}oMath", f"{{{MATH}}}oMathPara")
_PROPERTIES = "Pr"  # ending of the elements that hold properties
_SIMPLE = frozenset("′!°%")


def linear(element: Element) -> str:
    """The text of an equation or of a part of one. Unknown parts give the texts inside them."""
    name = _name(element)
    if name == "t" or (name == "" and not len(element)):
        return element.text or ""
    if name.endswith(_PROPERTIES) and name != _PROPERTIES:
        return ""
    return _PARTS.get(name, _children)(element)


def _name(element: Element) -> str:
    """Without its namespace; "" for comments and processing instructions. Texts may be of the surrounding format: w:t, a:t."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _children(element: Element) -> str:
    return "".join(linear(child) for child in element if isinstance(child.tag, str))


def _rows(element: Element) -> str:
    """Lines of a system of equations, and equations of a paragraph."""
    return "; ".join(filter(None, (linear(child) for child in element if _name(child) in ("e", "oMath"))))


def _part(element: Element, name: str) -> str:
    return "".join(linear(child) for child in element if _name(child) == name)


def _setting(element: Element, name: str, missing: str) -> str:
    """The value of a property, such as the sign of a sum. An empty value means no sign."""
    for found in element.iter(f"{{{MATH}}}{name}"):
        if found.getparent() is not None and found.getparent().getparent() is element:
            return found.get(f"{{{MATH}}}val", "")
    return missing


def _grouped(text: str) -> str:
    """In brackets unless it is one number, word or bracket."""
    bare = text.strip()
    closed = bare[:1] == "(" and bare.find(")") == len(bare) - 1
    return bare if bare.isalnum() or closed or len(bare) < 2 or bare.replace(".", "", 1).isdecimal() else f"({bare})"


def _fraction(element: Element) -> str:
    above, below = _part(element, "num"), _part(element, "den")
    if _setting(element, "type", "bar") == "noBar":
        return f"({above} over {below})"
    return f"{_grouped(above)}/{_grouped(below)}"


def _raised(text: str) -> str:
    return superscript(text) if text.strip() and not set(text) & _SIMPLE else text


def _scripts(element: Element) -> str:
    base, below, above = (_part(element, name) for name in ("e", "sub", "sup"))
    return f"{_grouped(base)}{subscript(below.replace(' ', ''))}{_raised(above.replace(' ', ''))}"


def _scripts_before(element: Element) -> str:
    return f"{_raised(_part(element, 'sup'))}{subscript(_part(element, 'sub'))}{_part(element, 'e')}"


def _root(element: Element) -> str:
    degree = _part(element, "deg").strip()
    return f"{superscript(degree) if degree else ''}√{_grouped(_part(element, 'e')) or '()'}"


def _sum(element: Element) -> str:
    """Sums, products, integrals."""
    below, above = _part(element, "sub").strip(), _part(element, "sup").strip()
    limits = (f"_{_grouped(below)}" if below else "") + (f"^{_grouped(above)}" if above else "")
    return f"{_setting(element, 'chr', '∫')}{limits} {_part(element, 'e')}"


def _brackets(element: Element) -> str:
    inner = _setting(element, "sepChr", "|").join(linear(child) for child in element if _name(child) == "e")
    return f"{_setting(element, 'begChr', '(')}{inner}{_setting(element, 'endChr', ')')}"


def _function(element: Element) -> str:
    name, of = _part(element, "fName").strip(), _part(element, "e").strip()
    return f"{name}{of}" if of.startswith("(") else f"{name} {of}"


def _limit(element: Element) -> str:
    sign = "_" if _name(element) == "limLow" else "^"
    return f"{_part(element, 'e')}{sign}{_grouped(_part(element, 'lim'))}"


def _matrix(element: Element) -> str:
    return "; ".join(", ".join(linear(cell) for cell in row if _name(cell) == "e") for row in element if _name(row) == "mr")


def _accent(element: Element) -> str:
    return _part(element, "e") + _setting(element, "chr", "\u0302")


_PARTS: dict[str, Callable[[Element], str]] = {
    "f": _fraction,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": _scripts_before,
    "rad": _root,
    "nary": _sum,
    "d": _brackets,
    "func": _function,
    "limLow": _limit,
    "limUpp": _limit,
    "m": _matrix,
    "acc": _accent,
    "eqArr": _rows,
    "oMathPara": _rows,
}
