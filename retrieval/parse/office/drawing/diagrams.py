"""SmartArt diagrams as lists (DrawingML diagrams, ECMA-376 part 1, chapter 21.4)."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from retrieval.parse.common import tables

Element = Any  # of lxml
URI = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_D, _A = f"{{{URI}}}", "{http://schemas.openxmlformats.org/drawingml/2006/main}"
DATA = f"{_D}relIds"  # refers to the data of a diagram by r:dm
MAX_DEPTH = 20


def lines(model: Element) -> Iterator[str]:
    """One line per point with text, indented below the point that it belongs to. `model`: the dgm:dataModel."""
    texts = {point.get("modelId", ""): _text(point) for point in model.iter(f"{_D}pt")}
    children, inner = _children(model)
    roots = [point for point in texts if point not in inner]
    seen = set[str]()

    def below(point: str, depth: int) -> Iterator[str]:
        if point in seen or depth > MAX_DEPTH:
            return
        seen.add(point)
        if text := texts.get(point, ""):
            yield f"{'  ' * depth}- {text}"
        for child in children[point]:
            yield from below(child, depth + bool(text))

    for root in roots:
        yield from below(root, 0)


def _children(model: Element) -> tuple[defaultdict[str, list[str]], set[str]]:
    """The points below each point in their order, and all points that are below another."""
    found = [one for one in model.iter(f"{_D}cxn") if one.get("type", "parOf") == "parOf"]
    children = defaultdict[str, list[str]](list)
    for one in sorted(found, key=lambda one: int(one.get("srcOrd", "0")) if one.get("srcOrd", "0").isdecimal() else 0):
        children[one.get("srcId", "")].append(one.get("destId", ""))
    return children, {one.get("destId", "") for one in found}


def _text(point: Element) -> str:
    body = point.find(f"{_D}t")
    if body is None:
        return ""
    paragraphs = ("".join(run.text or "" for run in line.iter(f"{_A}t")) for line in body.iter(f"{_A}p"))
    return tables.collapse_spaces(" ".join(paragraphs))
