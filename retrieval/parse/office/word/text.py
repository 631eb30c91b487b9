"""The text of Word paragraphs as printed: with insertions, without deletions and hidden text, raised characters as such."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from docx.opc.part import Part
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common.links import with_target
from retrieval.parse.common.typography import Segment, joined
from retrieval.parse.office import symbols
from retrieval.parse.office.drawing.alternatives import understood
from retrieval.parse.office.drawing.equations import EQUATIONS, linear
from retrieval.parse.office.word.anchored import DRAWINGS, Anchored, anchored
from retrieval.parse.office.word.forms import form_value
from retrieval.parse.office.word.hidden_text import HiddenText
from retrieval.parse.office.word.styles import Styles, TextStyle

RUN, TEXT, HYPERLINK, RELATION, FONTS = map(qn, ("w:r", "w:t", "w:hyperlink", "r:id", "w:rFonts"))
NOTES = dict(zip(map(qn, ("w:footnoteReference", "w:endnoteReference")), ("footnotes", "endnotes"), strict=True))
SKIPPED = tuple(map(qn, ("w:del", "w:moveFrom", "w:delText", "w:pPr", "w:rPr", "w:sdtPr", "w:rt")))
SPACES = {qn("w:tab"): "\t", qn("w:ptab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
FIELD_SIGN, FIELD_CODE, SIMPLE_FIELD, SYMBOL = map(qn, ("w:fldChar", "w:instrText", "w:fldSimple", "w:sym"))
PAGE_FIELDS = ("PAGE", "NUMPAGES", "SECTIONPAGES", "SECTION")  # of the printed page: mean nothing in running text
OFF = ("0", "false", "off")
_LINK_FIELD = re.compile(r'\s*HYPERLINK\s+"([^"]+)"', re.I)


@dataclass(slots=True)
class _Field:
    """A field whose end has not been reached."""

    code: str = ""
    has_result: bool = False
    text: str = ""  # of the result so far


class NoteNumbers:
    """Footnotes and endnotes in the order in which the text refers to them."""

    def __init__(self) -> None:
        self.order: dict[tuple[str, str], int] = {}  # by kind and identifier; from 1

    def number(self, kind: str, identifier: str) -> int:
        return self.order.setdefault((kind, identifier), len(self.order) + 1)


class TextReader:
    """Reads the paragraphs of one part of a document, in document order: fields may span several."""

    def __init__(self, part: Part, styles: Styles, hidden_text: HiddenText, notes: NoteNumbers) -> None:
        self.part = part
        self.omitted_page_number = False  # in any paragraph so far
        self._styles, self._hidden_text, self._notes = styles, hidden_text, notes
        self._fields = list[_Field]()  # innermost last
        self._anchored = list[Anchored]()

    def text(self, paragraph: Element) -> str:
        return joined(list(self._inside(paragraph)))

    def take_anchored(self) -> list[Anchored]:
        """What is anchored in the paragraphs read since the last call."""
        taken, self._anchored = self._anchored, []
        return taken

    def _inside(self, element: Element) -> Iterator[Segment]:
        for child in understood(element):
            if child.tag in SKIPPED:
                continue
            if child.tag == RUN:
                yield from self._run(child)
            elif child.tag == HYPERLINK:
                inside = list(self._inside(child))
                yield from [*inside, _target("".join(segment.text for segment in inside), self._address(child))]
            elif child.tag in EQUATIONS:
                yield Segment(linear(child))
            elif child.tag == SIMPLE_FIELD:
                yield from self._simple_field(child, child.get(qn("w:instr"), ""))
            else:
                yield from self._inside(child)

    def _simple_field(self, field: Element, code: str) -> Iterator[Segment]:
        if self._is_page_field(code):
            return
        inside, link = list(self._inside(field)), _LINK_FIELD.match(code)
        yield from inside
        if link:
            yield _target("".join(segment.text for segment in inside), link[1])

    def _run(self, run: Element) -> Iterator[Segment]:
        style = self._styles.of_run(run)
        visible = self._hidden_text.visible_part(run, style)
        for child in understood(run) if visible != "nothing" else ():
            if child.tag in DRAWINGS:
                self._anchored += anchored(child)
            elif visible == "all":
                yield from self._part(child, style, _font(run))

    def _part(self, child: Element, style: TextStyle, font: str) -> Iterator[Segment]:
        """A part of a visible run."""
        if child.tag == FIELD_SIGN:
            yield Segment(form_value(child))
            yield from self._field(child.get(qn("w:fldCharType"), ""))
        elif child.tag == FIELD_CODE and self._fields and not self._fields[-1].has_result:
            self._fields[-1].code += child.text or ""
        elif child.tag in NOTES:
            number = self._notes.number(NOTES[child.tag], child.get(qn("w:id"), ""))
            yield Segment("" if child.get(qn("w:customMarkFollows"), "0") not in OFF else str(number), "superscript")
        elif any(field.has_result and self._is_page_field(field.code) for field in self._fields):
            return
        elif text := _text(child, font):
            for field in self._fields:
                field.text += text
            yield Segment(text, style.place, bool(style.struck))
        elif child.tag not in SKIPPED and len(child):  # ruby
            yield from self._inside(child)

    def _field(self, sign: str) -> Iterator[Segment]:
        if sign == "begin":
            self._fields.append(_Field())
        elif self._fields and sign == "separate":
            self._fields[-1].has_result = True
        elif self._fields and sign == "end":
            field = self._fields.pop()
            if link := _LINK_FIELD.match(field.code):
                yield _target(field.text, link[1])

    def _is_page_field(self, code: str) -> bool:
        found = code.split(maxsplit=1)[:1] and code.split(maxsplit=1)[0].upper() in PAGE_FIELDS
        self.omitted_page_number = self.omitted_page_number or bool(found)
        return bool(found)

    def _address(self, link: Element) -> str:
        relation = self.part.rels.get(link.get(RELATION, ""))
        return relation.target_ref if relation is not None and relation.is_external else ""


def _target(text: str, address: str) -> Segment:
    """What follows the text of a link."""
    return Segment(with_target(text, address)[len(text.rstrip()) :])


def _font(run: Element) -> str:
    fonts = run.find(f"{qn('w:rPr')}/{FONTS}")
    return "" if fonts is None else fonts.get(qn("w:ascii"), "") or fonts.get(qn("w:hAnsi"), "")


def _text(child: Element, font: str) -> str:
    if child.tag == TEXT:
        return symbols.translated(child.text or "", font)
    if child.tag == SYMBOL:
        code = child.get(qn("w:char"), "")
        return symbols.symbol(child.get(qn("w:font"), ""), int(code, 16)) if re.fullmatch("[0-9A-Fa-f]{1,5}", code) else ""
    return SPACES.get(child.tag, "")
