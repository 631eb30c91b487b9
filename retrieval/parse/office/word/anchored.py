"""What is anchored in Word paragraphs beside their text: text boxes, pictures and their descriptions, charts, diagrams."""

from collections.abc import Iterator
from dataclasses import dataclass

from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.office.drawing import charts, diagrams
from retrieval.parse.office.drawing.alternatives import alternative_text, understood

DRAWINGS = tuple(map(qn, ("w:drawing", "w:pict", "w:object")))
BOX, PROPERTIES, RELATION, DATA_RELATION = qn("w:txbxContent"), qn("wp:docPr"), qn("r:id"), f"{{{qn('r:id')[1:].partition('}')[0]}}}dm"
PICTURES = {qn("a:blip"): qn("r:embed"), "{urn:schemas-microsoft-com:vml}imagedata": RELATION}  # where each names its relation
CHART = f"{{{charts.CHART}}}chart"
_VML_TEXT = "{urn:schemas-microsoft-com:vml}textpath"  # WordArt


@dataclass(frozen=True, slots=True)
class Box:
    """A text box."""

    content: Element


@dataclass(frozen=True, slots=True)
class Words:
    """The description of a picture, or the text that a shape is made of."""

    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    relation: str


@dataclass(frozen=True, slots=True)
class Diagram:
    relation: str  # to its data


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture."""

    relation: str


Anchored = Box | Words | Chart | Diagram | Shown


def anchored(drawing: Element) -> Iterator[Anchored]:
    """In document order; what is anchored inside a text box is not listed."""
    for child in understood(drawing):
        match child.tag:
            case tag if tag == BOX:
                yield Box(child)
            case tag if tag == CHART:
                yield Chart(child.get(RELATION, ""))
            case tag if tag in PICTURES:
                yield Shown(child.get(PICTURES[tag], ""))
            case diagrams.DATA:
                yield Diagram(child.get(DATA_RELATION, ""))
            case _:
                if text := _words(child):
                    yield Words(text)
                yield from anchored(child)


def _words(element: Element) -> str:
    if element.tag == PROPERTIES:
        return alternative_text(element)
    if element.tag == _VML_TEXT:
        return element.get("string", "")
    return alternative_text({"descr": element.get("alt", "")}) if element.tag.startswith("{urn:schemas-microsoft-com:vml}") else ""
