"""The text of OpenDocument paragraphs as printed, and what is anchored in them."""

from collections.abc import Iterator

from retrieval.parse.common import tables, typography
from retrieval.parse.common.links import with_target
from retrieval.parse.common.typography import Segment
from retrieval.parse.office import symbols
from retrieval.parse.office.opendocument.names import MAX_REPEATED, Element, count, q
from retrieval.parse.office.opendocument.styles import Styles, TextStyle

PARAGRAPH, HEADING, SPAN, LINK, NOTE, ANNOTATION = map(q, ("text:p", "text:h", "text:span", "text:a", "text:note", "office:annotation"))
FRAMES = tuple(map(q, ("draw:frame", "draw:custom-shape", "draw:rect", "draw:ellipse", "draw:g", "draw:line", "draw:control", "draw:a")))
SKIPPED = tuple(
    map(q, ("text:page-number", "text:page-count", "text:ruby-text", "text:tracked-changes", "office:annotation-end", "text:note-citation"))
)
SPACES = {q("text:tab"): "\t", q("text:line-break"): "\n"}


class TextReader:
    """Reads paragraphs in document order. `anchored`: frames and shapes of those read, until somebody takes them."""

    def __init__(self, styles: Styles) -> None:
        self.styles = styles
        self.hidden = False  # whether hidden text was found so far
        self.notes = list[str]()
        self.comments = list[str]()
        self._anchored = list[Element]()

    def text(self, paragraph: Element) -> str:
        style = self.styles.text("paragraph", paragraph.get(q("text:style-name"), ""))
        return typography.joined(self._inside(paragraph, style))

    def take_anchored(self) -> list[Element]:
        taken, self._anchored = self._anchored, []
        return taken

    def _inside(self, element: Element, style: TextStyle) -> Iterator[Segment]:
        yield from self._own(element.text, style)
        for child in element:
            if isinstance(child.tag, str):
                yield from self._child(child, style)
            yield from self._own(child.tail, style)

    def _own(self, text: str | None, style: TextStyle) -> Iterator[Segment]:
        """White space in the XML counts as one space."""
        if text and style.hidden:
            self.hidden = self.hidden or bool(text.strip())
        elif text:
            inner = tables.collapse_spaces(symbols.translated(text, style.font))
            before = " " if text[0].isspace() else ""
            yield Segment(f"{before}{inner}{' ' if inner and text[-1].isspace() else ''}", style.place, style.struck)

    def _child(self, child: Element, style: TextStyle) -> Iterator[Segment]:
        if child.tag in SKIPPED:
            return
        if child.tag in SPACES:
            yield Segment(SPACES[child.tag])
        elif child.tag == q("text:s"):
            yield Segment(" " * min(count(child, "text:c"), MAX_REPEATED))
        elif child.tag == SPAN:
            yield from self._inside(child, _within(style, self.styles.text("text", child.get(q("text:style-name"), ""))))
        elif child.tag == LINK:
            inside = list(self._inside(child, style))
            text = "".join(segment.text for segment in inside)
            yield from [*inside, Segment(with_target(text, child.get(q("xlink:href"), ""))[len(text.rstrip()) :])]
        elif child.tag == NOTE:
            self.notes.append(self.flat(next(child.iter(q("text:note-body")), child)))
            yield Segment(typography.superscript(str(len(self.notes))))
        elif child.tag == ANNOTATION:
            self.comment(child)
        elif child.tag in FRAMES:
            self._anchored.append(child)
        elif child.tag not in (q("text:hidden-text"), q("text:hidden-paragraph")):
            yield from self._inside(child, style)

    def flat(self, element: Element) -> str:
        """All paragraphs below an element on one line."""
        return tables.collapse_spaces(" ".join(self.text(one) for one in element.iter(PARAGRAPH, HEADING)))

    def comment(self, annotation: Element) -> None:
        author = next((one.text or "" for one in annotation.iter(q("dc:creator"))), "").strip()
        if text := self.flat(annotation):
            self.comments.append(f"Comment{f' by {author}' if author else ''}: {text}")


def _within(outer: TextStyle, inner: TextStyle) -> TextStyle:
    return TextStyle(inner.place or outer.place, inner.struck or outer.struck, inner.hidden or outer.hidden, inner.font or outer.font)
