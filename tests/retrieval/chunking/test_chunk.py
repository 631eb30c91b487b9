"""Pieces hold all of the text, keep to their budget and to the structure of the document."""

import re
from typing import Literal, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.api import Block, Chunking, Document, NewChunk
from retrieval.chunking.chunk import chunk

Kind = Literal["heading", "paragraph", "list", "table", "code"]
TOKEN = re.compile(r"\w+|[^\w\s]")
WORDS = st.lists(
    st.sampled_from(["wing", "Flow", "a", "12.5", "e.g.", "über", "翼。", "x" * 30, "end.", "Why?", "so,", "\n", "\t", "-"]), max_size=60
)
KINDS = st.sampled_from(["heading", "paragraph", "list", "table", "code"])
SIZES = st.builds(Chunking, size=st.one_of(st.none(), st.integers(1, 40)), overlap=st.one_of(st.none(), st.integers(0, 20)))


def offsets(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in TOKEN.finditer(text)]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Blocks with space between them, under paths that need not fit the headings."""
    text, blocks = "", []
    for _ in range(draw(st.integers(0, 8))):
        text += draw(st.sampled_from(["\n\n", "\n", " ", ""]))
        block = " ".join(draw(WORDS))
        page, headings = draw(st.sampled_from([None, 1, 2])), draw(st.sampled_from([(), ("A",), ("A", "B"), ("C",)]))
        if block:
            blocks.append(Block(kind=cast(Kind, draw(KINDS)), start=len(text), end=len(text) + len(block), page=page, headings=headings))
        text += block
    return Document(text=text, blocks=tuple(blocks), media_type="text/plain", title=draw(st.sampled_from(["", "A Title"])))


@settings(max_examples=300, deadline=None)
@given(documents(), SIZES, st.integers(1, 64))
def test_nothing_is_lost_and_nothing_is_too_long(document: Document, chunking: Chunking, max_tokens: int) -> None:
    pieces = chunk(document, offsets, chunking, max_tokens)
    held: set[int] = set()
    for piece in pieces:
        assert piece.text == document.text[piece.start : piece.end] and piece.text.strip()
        assert len(offsets(piece.text)) <= (chunking.size or max_tokens)
        held.update(range(piece.start, piece.end))
    assert all(index in held or char.isspace() for index, char in enumerate(document.text))
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    assert [piece.end for piece in pieces] == sorted({piece.end for piece in pieces})


def document(*parts: tuple[str, str] | tuple[str, str, int], title: str = "") -> Document:
    """Kind and text; a heading's text begins with as many # as its level. With the page, if any."""
    text, blocks, above = "", [], list[str]()
    for kind, content, *page in parts:
        level, content = content.count("#"), content.lstrip("# ")
        above = above[: level - 1] if level else above
        text += "\n\n" if text else ""
        start, text = len(text), text + content
        blocks.append(Block(kind=cast(Kind, kind), start=start, end=len(text), page=page[0] if page else None, headings=tuple(above)))
        above += [content] if level else []
    return Document(text=text, blocks=tuple(blocks), media_type="text/plain", title=title)


def cut(made: Document, size: int, overlap: int = 0) -> list[NewChunk]:
    return list(chunk(made, offsets, Chunking(size=size, overlap=overlap), 512))


def words(count: int, word: str = "word") -> str:
    return " ".join([word] * (count - 1)) + " stop."


def test_short_documents_are_one_piece() -> None:
    made = document(("paragraph", words(20)), ("list", "- one\n- two"), ("paragraph", words(20)))
    assert [piece.text for piece in cut(made, 100)] == [made.text]


def test_sections_do_not_share_pieces_unless_they_are_small() -> None:
    made = document(("heading", "# A"), ("paragraph", words(40)), ("heading", "# B"), ("paragraph", words(40)))
    assert [piece.headings for piece in cut(made, 100)] == [("A",), ("B",)]
    small = document(("heading", "# A"), ("heading", "## One"), ("paragraph", words(5)), ("heading", "## Two"), ("paragraph", words(5)))
    assert [(piece.text, piece.headings) for piece in cut(small, 100)] == [(small.text, ("A",))]


def test_a_heading_stays_with_what_it_heads() -> None:
    made = document(("heading", "# A"), ("heading", "## B"), ("paragraph", words(90)), ("paragraph", words(90)))
    pieces = cut(made, 100)
    assert [piece.headings for piece in pieces] == [("A", "B")] * 2
    assert pieces[0].text.startswith("A\n\nB\n\nword")


def test_long_text_is_cut_at_sentences_into_equal_parts() -> None:
    made = document(("paragraph", " ".join(words(10, f"W{index}") for index in range(12))))
    pieces = cut(made, 100)
    assert [len(offsets(piece.text)) for piece in pieces] == [66, 66]
    assert all(piece.text.endswith("stop.") for piece in pieces)


def test_overlap_is_whole_sentences_and_never_beyond_what_was_asked() -> None:
    made = document(("paragraph", " ".join(words(10, f"W{index}") for index in range(12))))
    first, second, *_ = cut(made, 60, overlap=25)
    again = made.text[second.start : first.end]
    assert again.startswith("W") and again.endswith("stop.") and len(offsets(again)) == 22


def test_overlap_takes_words_of_a_sentence_that_is_longer() -> None:
    made = document(("paragraph", f"{words(50)} {words(50)}"))
    first, second = cut(made, 60, overlap=5)
    assert len(offsets(made.text[second.start : first.end])) == 5


def test_rows_stay_whole() -> None:
    rows = [f"Name: n{index}; Born: {1900 + index}; Town: t{index}" for index in range(40)]
    pieces = cut(document(("table", "\n".join(rows))), 64)
    assert len(pieces) > 3 and [row for piece in pieces for row in piece.text.split("\n")] == rows


def test_a_page_ends_a_piece_and_a_sentence_over_the_page_is_held_whole() -> None:
    made = document(("paragraph", f"{words(20)} the limit is", 1), ("paragraph", f"40 kg.\n\n{words(20)}", 2), ("paragraph", words(20), 3))
    pieces = cut(made, 50, overlap=10)
    assert [piece.page for piece in pieces] == [1, 2, 3]
    assert pieces[1].text.startswith("the limit is\n\n40 kg.") and not pieces[2].text.startswith("word stop.\n\n")


def test_a_sentence_over_the_page_leaves_room_for_the_next() -> None:
    made = document(("paragraph", "wing wing", 1), ("paragraph", "wing wing wing", 2))
    assert [piece.text for piece in cut(made, 4, overlap=2)] == ["wing wing", "wing wing wing"]


def test_the_size_leaves_room_for_title_and_headings() -> None:
    made = document(("heading", "# Deep Heading Here"), ("paragraph", words(300)), title="A Title Of Five Words")
    pieces = chunk(made, offsets, Chunking(), 64)
    assert max(len(offsets(piece.text)) for piece in pieces) <= 64 - 5 - 3
    assert len(chunk(document(("paragraph", words(300))), offsets, Chunking(), 512)) == 2, "256 tokens, not 512"


def test_large_documents_are_tokenized_in_slabs() -> None:
    longest = 0

    def has_postings(text: str) -> list[tuple[int, int]]:
        nonlocal longest
        longest = max(longest, len(text))
        return offsets(text)

    made = document(("paragraph", "\n".join(words(20) for _ in range(5_000))))
    pieces = chunk(made, has_postings, Chunking(), 256)
    assert len(made.text) > 300_000 and longest <= 100_000
    assert pieces[-1].end == len(made.text)
