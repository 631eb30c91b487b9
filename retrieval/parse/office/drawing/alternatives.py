"""What drawings of Office documents hold for programs and people that cannot show them."""

import re
from collections.abc import Iterator
from typing import Any

Element = Any  # of lxml
COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_CONTENT, _CHOICE, _FALLBACK = (f"{{{COMPATIBILITY}}}{name}" for name in ("AlternateContent", "Choice", "Fallback"))
_FILE = re.compile(r"[\w\\/:.,()&+ -]+\.(?:png|jpe?g|gif|emf|wmf|bmp|tiff?|svg|webp|pdf)", re.I)
OFF = ("0", "false")


def understood(element: Element) -> Iterator[Element]:
    """The children, of alternatives only the first: the others repeat it for older programs (ECMA-376 part 3)."""
    for child in element:
        if child.tag == _CONTENT:
            yield from understood_alternative(child)
        elif isinstance(child.tag, str):
            yield child


def understood_alternative(alternatives: Element) -> Iterator[Element]:
    chosen = next(alternatives.iterchildren(_CHOICE, _FALLBACK), None)
    return understood(chosen) if chosen is not None else iter(())


def prefer_choices(root: Element) -> None:
    """Puts the chosen alternatives in the place of all, for libraries that know nothing of alternatives."""
    for found in list(root.iter(_CONTENT)):
        parent = found.getparent()
        if parent is not None:
            at = parent.index(found)
            parent[at : at + 1] = list(understood_alternative(found))


def alternative_text(properties: Element) -> str:
    """The description that an author gave a picture or shape, "" if there is none; `properties`: its cNvPr or docPr. Names of files, which
    programs put there by themselves, are none."""
    text = " ".join((properties.get("descr") or properties.get("title") or "").split())
    return "" if _FILE.fullmatch(text) or properties.get("hidden", "0") not in OFF else text
