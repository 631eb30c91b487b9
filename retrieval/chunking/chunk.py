"""A document into pieces of a size that an embedding model reads whole. Structure comes first: a piece stays within one
section and one page, small neighbouring sections share a piece, long ones are cut at sentence ends into equal parts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

from retrieval.api import Block, Chunking, Document, NewChunk
from retrieval.chunking.units import Ruler, Span, atoms

LARGEST = 256  # tokens, when nobody says otherwise: longer passages answer no better and are cited less exactly
OVERLAP = 8  # one part in so many
SMALL = 4  # a section below one part in so many of a piece shares one with the next

Offsets = Callable[[str], Sequence[tuple[int, int]]]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """Blocks that follow each other under the same headings on the same page, cut into what stays whole."""

    path: Path
    page: int | None
    atoms: tuple[Span, ...]
    bare: bool  # headings only

    @property
    def whole(self) -> Span:
        return Span(self.atoms[0].start, self.atoms[-1].end, "paragraph")


@dataclass(frozen=True, slots=True)
class _Sizes:
    """In tokens. `overlap` is what a piece repeats of the one before it."""

    limit: int
    overlap: int


def chunk(document: Document, offsets: Offsets, chunking: Chunking, max_tokens: int) -> tuple[NewChunk, ...]:
    """Pieces in the order of the text; what is not space is in at least one. None is longer than `chunking.size` tokens (when
    that is None: what fits into max_tokens together with title and headings, at most 256), but for a single longer token."""
    ruler = Ruler(document.text, offsets)
    sizes = _measure(document, offsets, chunking, max_tokens)
    sections = list(_joined(_sections(document, ruler, sizes), ruler, sizes))
    pieces: list[NewChunk] = []
    for before, section in zip([None, *sections], sections, strict=False):
        pieces += _pieces(document.text, section, ruler, sizes(section.path), _broken_off(document.text, before, section))
    return tuple(pieces)


def _measure(document: Document, offsets: Offsets, chunking: Chunking, max_tokens: int) -> Callable[[Path], _Sizes]:
    """Title and headings are embedded together with a piece, so unless the size is given they take room away from it."""

    @lru_cache(maxsize=1024)
    def sizes(path: Path) -> _Sizes:
        largest = min(max_tokens, LARGEST)
        above = len(offsets("\n".join((document.title, *path)))) if chunking.size is None else 0
        limit = chunking.size or max(min(largest, max_tokens - above), largest // 2, 1)
        overlap = limit // OVERLAP if chunking.overlap is None else chunking.overlap
        return _Sizes(limit, min(overlap, limit // 2))

    return sizes


def _sections(document: Document, ruler: Ruler, sizes: Callable[[Path], _Sizes]) -> Iterator[_Section]:
    """One for each run of blocks with the same path and page; a heading begins a new one."""
    current: _Section | None = None
    for block in _covering(document):
        path = (*block.headings, document.text[block.start : block.end].strip()) if block.kind == "heading" else block.headings
        spans = tuple(atoms(document.text, block, ruler, sizes(path).limit))
        if not spans:
            continue
        if current and block.kind != "heading" and (current.path, current.page) == (path, block.page):
            current = replace(current, atoms=current.atoms + spans, bare=False)
            continue
        if current:
            yield current
        current = _Section(path, block.page, spans, block.kind == "heading")
    if current:
        yield current


def _covering(document: Document) -> Iterator[Block]:
    """The blocks, and what stands between them as paragraphs."""
    at = 0
    for block in document.blocks:
        if document.text[at : block.start].strip():
            yield Block(kind="paragraph", start=at, end=block.start, page=block.page, headings=block.headings)
        yield block
        at = block.end
    if document.text[at:].strip():
        yield Block(kind="paragraph", start=at, end=len(document.text))


def _joined(sections: Iterator[_Section], ruler: Ruler, sizes: Callable[[Path], _Sizes]) -> Iterator[_Section]:
    """Headings without text go to what follows them; small sections share a piece with the next while it fits."""
    current: _Section | None = None
    for section in sections:
        if current is None:
            current = section
        elif current.bare:
            current = replace(section, atoms=current.atoms + section.atoms)
        elif _share(current, section, ruler, sizes):
            path = _shared(current.path, section.path)
            current = replace(current, path=path, atoms=current.atoms + section.atoms)
        else:
            yield current
            current = section
    if current:
        yield current


def _shared(first: Path, second: Path) -> Path:
    return tuple(above for above, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def _share(first: _Section, second: _Section, ruler: Ruler, sizes: Callable[[Path], _Sizes]) -> bool:
    limit = sizes(first.path).limit
    small = first.page == second.page and ruler.count(first.whole) < limit // SMALL
    return small and ruler.tokens(first.whole.start, second.whole.end) <= limit


def _broken_off(text: str, before: _Section | None, section: _Section) -> Span | None:
    """The beginning of a sentence that goes on over the page."""
    if before is None or before.path != section.path or before.page == section.page:
        return None
    last = before.atoms[-1]
    ends = text[last.end - 1] in '.!?…。！？:;)”"'
    return None if ends or last.kind != "paragraph" or section.atoms[0].kind != "paragraph" else last


def _pieces(text: str, section: _Section, ruler: Ruler, sizes: _Sizes, before: Span | None) -> Iterator[NewChunk]:
    spans, first = section.atoms, 0
    start = before.start if before and ruler.count(before) <= sizes.overlap else spans[0].start
    while first < len(spans):
        after = _until(spans, first, start, ruler, sizes)
        end = spans[after - 1].end
        yield NewChunk(text=text[start:end], start=start, end=end, page=section.page, headings=section.path)
        if after < len(spans):
            room = min(sizes.overlap, sizes.limit - ruler.count(spans[after]))
            start = _again(text, spans[first:after], ruler, room, spans[after].start)
        first = after


def _until(spans: Sequence[Span], first: int, start: int, ruler: Ruler, sizes: _Sizes) -> int:
    """Index behind the last atom of the piece that begins at `start`: about as long as the rest divided into equal parts."""
    rest = ruler.tokens(start, spans[-1].end)
    fresh = max(sizes.limit - sizes.overlap, 1)
    parts = 1 if rest <= sizes.limit else -(-(rest - sizes.overlap) // fresh)
    target = -(-(rest + (parts - 1) * sizes.overlap) // parts)
    after = first + 1
    while after < len(spans):
        now, then = ruler.tokens(start, spans[after - 1].end), ruler.tokens(start, spans[after].end)
        if then > sizes.limit or then - target > target - now:
            break
        after += 1
    while after - 1 > first and after < len(spans) and spans[after - 1].kind == "heading":
        after -= 1  # a heading goes with what follows it
    return after


def _again(text: str, spans: Sequence[Span], ruler: Ruler, room: int, until: int) -> int:
    """Where the next piece begins: whole atoms before `until` that fit the room, or whole words of a longer sentence."""
    start = until
    for span in reversed(spans):
        if span.kind == "heading" or ruler.tokens(span.start, until) > room:
            break
        start = span.start
    last = spans[-1]
    return ruler.word_before(text, last, until, room) if start == until and last.kind == "paragraph" else start
