"""Splits a document into chunks that an embedding model reads whole. A chunk stays within one section and one page, small neighbouring
sections share a chunk, long ones are split at sentence ends into parts of about equal length."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

from retrieval.api import Block, Chunking, Document, NewChunk
from retrieval.chunking.units import Span, TokenIndex, split_units

DEFAULT_MAX_TOKENS = 256  # tokens: longer chunks are found no better and are cited less exactly
OVERLAP_DIVISOR = 8  # default overlap: chunk size divided by this
SMALL_SECTION_DIVISOR = 4  # a section smaller than the chunk size divided by this may be merged with the next

Offsets = Callable[[str], Sequence[tuple[int, int]]]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    """Consecutive blocks under the same headings on the same page, split into units."""

    path: Path
    page: int | None
    split_units: tuple[Span, ...]
    headings_only: bool  # there is no other text

    @property
    def span(self) -> Span:
        return Span(self.split_units[0].start, self.split_units[-1].end, "paragraph")


@dataclass(frozen=True, slots=True)
class _Sizes:
    """In tokens. `overlap`: what a chunk repeats of the one before it."""

    limit: int
    overlap: int


def chunk(document: Document, offsets: Offsets, chunking: Chunking, max_tokens: int) -> tuple[NewChunk, ...]:
    """Chunks in document order; each non-space character is in at least one. None is longer than `chunking.size` tokens (if None: what fits
    into `max_tokens` together with title and headings, at most 256), except for a single longer token."""
    token_index = TokenIndex(document.text, offsets)
    sizes = _size_limits(document, offsets, chunking, max_tokens)
    sections = list(_merge_sections(_sections(document, token_index, sizes), token_index, sizes))
    new_chunks: list[NewChunk] = []
    for before, section in zip([None, *sections], sections, strict=False):
        new_chunks += _split_section(
            document.text, section, token_index, sizes(section.path), _unfinished_sentence(document.text, before, section)
        )
    timed = [block for block in document.blocks if block.start_seconds is not None]
    return tuple(_with_times(new, timed) for new in new_chunks) if timed else tuple(new_chunks)


def _with_times(new: NewChunk, timed: Sequence[Block]) -> NewChunk:
    """From when to when its text is said in a recording."""
    within = [block for block in timed if block.start < new.end and block.end > new.start]
    starts = [block.start_seconds for block in within if block.start_seconds is not None]
    ends = [block.end_seconds for block in within if block.end_seconds is not None]
    return replace(new, start_seconds=min(starts, default=None), end_seconds=max(ends, default=None))


def _size_limits(document: Document, offsets: Offsets, chunking: Chunking, max_tokens: int) -> Callable[[Path], _Sizes]:
    """Chunk sizes by heading path. Title and headings are embedded with a chunk, so unless a size is given they reduce it."""

    @lru_cache(maxsize=1024)
    def sizes(path: Path) -> _Sizes:
        largest = min(max_tokens, DEFAULT_MAX_TOKENS)
        above = len(offsets("\n".join((document.title, *path)))) if chunking.size is None else 0
        limit = chunking.size or max(min(largest, max_tokens - above), largest // 2, 1)
        overlap = limit // OVERLAP_DIVISOR if chunking.overlap is None else chunking.overlap
        return _Sizes(limit, min(overlap, limit // 2))

    return sizes


def _sections(document: Document, token_index: TokenIndex, sizes: Callable[[Path], _Sizes]) -> Iterator[_Section]:
    """One per run of blocks with the same path and page; each heading begins a new one."""
    current: _Section | None = None
    for block in _with_gaps(document):
        path = (*block.headings, document.text[block.start : block.end].strip()) if block.kind == "heading" else block.headings
        spans = tuple(split_units(document.text, block, token_index, sizes(path).limit))
        if not spans:
            continue
        if current and block.kind != "heading" and (current.path, current.page) == (path, block.page):
            current = replace(current, split_units=current.split_units + spans, headings_only=False)
            continue
        if current:
            yield current
        current = _Section(path, block.page, spans, block.kind == "heading")
    if current:
        yield current


def _with_gaps(document: Document) -> Iterator[Block]:
    """The blocks, and any text between them as paragraphs."""
    at = 0
    for block in document.blocks:
        if document.text[at : block.start].strip():
            yield Block(kind="paragraph", start=at, end=block.start, page=block.page, headings=block.headings)
        yield block
        at = block.end
    if document.text[at:].strip():
        yield Block(kind="paragraph", start=at, end=len(document.text))


def _merge_sections(sections: Iterator[_Section], token_index: TokenIndex, sizes: Callable[[Path], _Sizes]) -> Iterator[_Section]:
    """Headings without text are merged with the section after them, small sections with the next if both fit into a chunk."""
    current: _Section | None = None
    for section in sections:
        if current is None:
            current = section
        elif current.headings_only:
            current = replace(section, split_units=current.split_units + section.split_units)
        elif _fit_together(current, section, token_index, sizes):
            path = _common_path(current.path, section.path)
            current = replace(current, path=path, split_units=current.split_units + section.split_units)
        else:
            yield current
            current = section
    if current:
        yield current


def _common_path(first: Path, second: Path) -> Path:
    return tuple(above for above, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def _fit_together(first: _Section, second: _Section, token_index: TokenIndex, sizes: Callable[[Path], _Sizes]) -> bool:
    limit = sizes(first.path).limit
    small = first.page == second.page and token_index.count(first.span) < limit // SMALL_SECTION_DIVISOR
    return small and token_index.tokens(first.span.start, second.span.end) <= limit


def _unfinished_sentence(text: str, before: _Section | None, section: _Section) -> Span | None:
    """The unit before `section` if it is a sentence that continues over the page break, else None."""
    if before is None or before.path != section.path or before.page == section.page:
        return None
    last = before.split_units[-1]
    ends = text[last.end - 1] in '.!?…。！？:;)”"'
    return None if ends or last.kind != "paragraph" or section.split_units[0].kind != "paragraph" else last


def _split_section(text: str, section: _Section, token_index: TokenIndex, sizes: _Sizes, before: Span | None) -> Iterator[NewChunk]:
    spans, first = section.split_units, 0
    room = min(sizes.overlap, sizes.limit - token_index.count(spans[0]))
    start = before.start if before and token_index.count(before) <= room else spans[0].start
    while first < len(spans):
        after = _chunk_end(spans, first, start, token_index, sizes)
        end = spans[after - 1].end
        yield NewChunk(text=text[start:end], start=start, end=end, page=section.page, headings=section.path)
        if after < len(spans):
            room = min(sizes.overlap, sizes.limit - token_index.count(spans[after]))
            start = _overlap_start(text, spans[first:after], token_index, room, spans[after].start)
        first = after


def _chunk_end(spans: Sequence[Span], first: int, start: int, token_index: TokenIndex, sizes: _Sizes) -> int:
    """Index after the last unit of the chunk that begins at `start`; aims at equal parts for the rest of the section."""
    rest = token_index.tokens(start, spans[-1].end)
    fresh = max(sizes.limit - sizes.overlap, 1)
    parts = 1 if rest <= sizes.limit else -(-(rest - sizes.overlap) // fresh)
    target = -(-(rest + (parts - 1) * sizes.overlap) // parts)
    after = first + 1
    while after < len(spans):
        now, then = token_index.tokens(start, spans[after - 1].end), token_index.tokens(start, spans[after].end)
        if then > sizes.limit or then - target > target - now:
            break
        after += 1
    while after - 1 > first and after < len(spans) and spans[after - 1].kind == "heading":
        after -= 1  # keeps a heading with the text that follows it
    return after


def _overlap_start(text: str, spans: Sequence[Span], token_index: TokenIndex, room: int, until: int) -> int:
    """Start of the next chunk: whole units before `until` of at most `room` tokens, or whole words of a longer sentence."""
    start = until
    for span in reversed(spans):
        if span.kind == "heading" or token_index.tokens(span.start, until) > room:
            break
        start = span.start
    last = spans[-1]
    return token_index.word_start(text, last, until, room) if start == until and last.kind == "paragraph" else start
