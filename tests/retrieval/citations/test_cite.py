"""Citations: from an answer's own marks, and from what it says."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import EngineStopped
from retrieval.analysis.terms import terms
from retrieval.api import Block, Chunk, Chunking, Document, ModelIdentity, Vectors
from retrieval.chunking.chunk import chunk as chunked
from retrieval.citations.cite import Citation, CitationFinder, Evidence, cite
from retrieval.citations.headings import HeadingDetector
from retrieval.citations.marks import CitationMarkParser

DRAGONS = "Dragons live for 900 years. They eat gold, and sleep on what they have not eaten. The oldest, Fafnir, lived in Norway."
TAXES = "The tax on land is paid in March. Whoever pays late owes 3.5 percent more. Churches are exempt from it."
TRAINS = "The night train to Vienna leaves at 22:14 from platform 7. Seats must be reserved. Bicycles travel free of charge."
QUESTION = "Tell me about it."


class Words:
    """Texts are near each other when they share words."""

    def __init__(self, *, dead: bool = False) -> None:
        self.dead, self.calls = dead, 0

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(model="words", revision="1", dimensions=64, pooling="mean+normalize")

    @property
    def max_tokens(self) -> int:
        return 256

    def fluency(self, text: str) -> float:
        return 4.0

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in re.finditer(r"\w+", text)]

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        if self.dead:
            raise EngineStopped("gone")
        self.calls += 1
        rows = np.full((len(texts), 64), 1e-6, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in terms(text):
                row[sum(word.encode()) % 64] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def chunk(number: int, text: str, at: int = 100) -> Chunk:
    return Chunk(
        id=number, store_id="vs", file_id=f"file-{number}", filename=f"{number}.txt", ordinal=0, text=text, start=at, end=at + len(text)
    )


CHUNKS = [chunk(1, DRAGONS), chunk(2, TAXES, 0), chunk(3, TRAINS, 7)]


def cited(answer: str, question: str = QUESTION, chunks: Sequence[Chunk] = CHUNKS) -> list[Citation]:
    found = asyncio.run(cite(answer, question, chunks, Words()))
    for citation in found:
        inside = citation.chunk.text[citation.start - citation.chunk.start : citation.end - citation.chunk.start]
        assert citation.quote == inside != "" and 0 <= citation.score <= 1
    return found


def files(found: Sequence[Citation]) -> list[int]:
    return [citation.chunk.id for citation in found]


def test_each_sentence_is_cited_where_it_ends() -> None:
    answer = "Dragons live for about 900 years. The night train to Vienna leaves at 22:14."
    first, second = cited(answer)
    assert (first.chunk.id, first.quote, first.index) == (1, "Dragons live for 900 years.", answer.index(" The night"))
    assert (second.chunk.id, second.index) == (3, len(answer)) and second.quote.startswith("The night train")
    assert (first.start, first.end) == (100, 100 + len("Dragons live for 900 years."))


@pytest.mark.parametrize(
    "answer",
    ["Yes.", "Sure, here is what I found!", "I do not know.", "", "  ", "The moon is made of cheese and orbits Jupiter.", "??? [x] []"],
)
def test_what_the_passages_do_not_say_is_not_cited(answer: str) -> None:
    assert cited(answer) == []


def test_numbers_and_names_must_agree() -> None:
    says = [chunk(1, "The bridge was opened in 1932 by Mayor Adams."), chunk(2, "The bridge was opened in 1987 by Mayor Brown.")]
    assert files(cited("The bridge was opened in 1987.", chunks=says)) == [2]
    assert files(cited("It was opened by Mayor Adams.", chunks=says)) == [1]
    sure = cited("The bridge was opened in 1932.", chunks=says)[0].score
    false = cited("The bridge was opened in 1955.", chunks=says)
    assert false == [] and sure > 0.8


def test_an_answer_of_one_word_is_understood_with_its_question() -> None:
    (found,) = cited("Vienna.", "Where does the night train go?")
    assert found.chunk.id == 3 and "Vienna" in found.quote


def test_marks_say_where_and_what() -> None:
    answer = "They sleep on gold [1]. Late payers owe more. [2] And both [1, 3][2]."
    found = cited(answer)
    assert files(found) == [1, 2, 1, 3, 2]
    assert [citation.index for citation in found] == [
        answer.index("[1]"),
        answer.index("[2]"),
        *2 * [answer.index("[1, 3]")],
        answer.rindex("[2]"),
    ]
    assert "sleep" in found[0].quote and "late" in found[1].quote


def test_marks_of_no_passage_are_dropped() -> None:
    assert cited("The moon is round [9]. So is the sun [0]. And 12 [444].") == []
    assert files(cited("Dragons live for 900 years [7].")) == [1]  # by what it says


def test_a_mark_that_is_clearly_wrong_is_corrected() -> None:
    assert files(cited("The night train to Vienna leaves at 22:14 from platform 7 [2].")) == [3]
    assert files(cited("Das steht dort anders geschrieben [2].")) == [2]  # another language: the model is believed


LEAVE = replace(chunk(1, "Everybody has 31 days of paid leave."), headings=("Handbook", "Paid Leave"))


@pytest.mark.parametrize(
    "heading", ["# Paid leave\n\n", "### 31 days\n\n", "Paid leave:\n\n", "**Paid leave:**\n\n", "Paid Leave\n\n", "**Paid leave**\n\n"]
)
def test_a_heading_alone_is_not_cited(heading: str) -> None:
    answer = f"{heading}Everybody has 31 days of paid leave."
    (found,) = cited(answer, "", [LEAVE])
    assert found.index == len(answer)


SECTIONS = (
    "Annual leave\n\nEverybody has 31 days of paid leave.\n\n2.1 Sick notes\n\nThey are handed in on the third day.\n\n"
    "Room 12\n\n14 months\n\nStay at home\n\nThat is all\n\n- of it"
)


@pytest.mark.parametrize("heading", ["Annual leave\n", "**Annual leave**\n\n", "Sick notes\n\n", "2.1 Sick notes\n\n"])
def test_headings_of_sections_that_share_a_passage_are_not_cited(heading: str) -> None:
    said = "Everybody has 31 days of paid leave."
    found = cited(f"{heading}{said}", "", [chunk(1, SECTIONS)])
    assert [c.index for c in found] == [len(heading + said)] and files(cited(heading.strip(), "", [chunk(1, SECTIONS)])) == [1]


def test_short_lines_that_say_something_are_cited() -> None:
    said = "Everybody has 31 days of paid leave."
    for line in (f"{said}\n\n", "Room 12\n\n", "14 months\n\n"):
        assert len(cited(f"{line}They are handed in on the third day.", "", [chunk(1, SECTIONS)])) == 2


def test_the_chunker_leaves_headings_where_they_are_looked_for() -> None:
    text = "Handbook\n\nAnnual leave\n\nThere are 31 days.\n\nSick notes\n\nOn the third day."
    parts = [
        ("heading", "Handbook", ()),
        ("heading", "Annual leave", ("Handbook",)),
        ("paragraph", "There are 31 days.", ("Handbook", "Annual leave")),
    ]
    parts += [("heading", "Sick notes", ("Handbook",)), ("paragraph", "On the third day.", ("Handbook", "Sick notes"))]
    blocks = tuple(Block(kind=k, start=text.index(t), end=text.index(t) + len(t), headings=h) for k, t, h in parts)
    document = Document(text=text, blocks=blocks, media_type="text/plain", title="Handbook")
    (piece,) = chunked(document, Words().offsets, Chunking(), 256)
    assert piece.headings == ("Handbook",)
    assert all(HeadingDetector([chunk(1, piece.text)]).is_heading(line, has_next_line=True) for line in ("Annual leave", "**Sick notes**"))


@pytest.mark.parametrize("answer", ["Paid leave", "31 days of paid leave", "# Paid leave [1]\n\nSo it is.", "It is this: paid leave"])
def test_what_looks_like_a_heading_and_is_the_answer(answer: str) -> None:
    (found,) = cited(answer, "", [LEAVE])
    assert found.chunk.id == 1


def test_an_answer_in_a_format_has_no_marks() -> None:
    async def unmarked() -> list[Citation]:
        return await CitationFinder(Evidence(QUESTION, CHUNKS, Words())).push(['{"platforms": [2]}'], last=True)

    assert asyncio.run(unmarked()) == []


def test_brackets_of_the_documents_are_not_cited() -> None:
    grades = chunk(1, "The probability lies in the interval [0, 1]. The grades are [10, 20, 30].")
    assert [c.index for c in cited("It lies in [0,1], where else, whatever the weather [1].", chunks=[grades])] == [51]
    assert cited("Look at `a[1]` there, and a[7] here.", chunks=[grades]) == []


def test_a_mark_right_behind_a_word() -> None:
    assert [c.index for c in cited("You have 31 days[1].", chunks=[chunk(1, "Everybody has 31 days of leave.")])] == [16]


def test_a_sentence_may_rest_on_two_passages() -> None:
    found = cited("Dragons live for 900 years and eat gold, and the night train to Vienna leaves at 22:14 from platform 7.")
    assert sorted(files(found)) == [1, 3]


def test_words_alone_decide_without_an_embedder() -> None:
    found = asyncio.run(cite("Dragons live for about 900 years, I hear.", QUESTION, CHUNKS, Words(dead=True)))
    assert files(found) == [1]


def test_passages_are_embedded_once() -> None:
    words = Words()
    asyncio.run(cite("Dragons may eat some gold. Taxes come in March, mostly. Trains leave at night.", QUESTION, CHUNKS, words))
    assert words.calls <= 4


def test_no_passages() -> None:
    assert asyncio.run(cite("Anything at all [1].", QUESTION, [], Words())) == []


ANSWER = (
    "Dragons live for 900 years [1]. They eat gold. [1] Dr. Smith pays tax on land in March.[2]\n\n"
    "- Seats must be reserved [3][1]\n- [x] yes"
)


@given(st.lists(st.integers(1, 9)))
def test_a_stream_is_cited_like_the_whole(steps: list[int]) -> None:
    async def streamed() -> list[Citation]:
        citing, reader, found, at = CitationFinder(Evidence(QUESTION, CHUNKS, Words())), CitationMarkParser([]), list[Citation](), 0
        for step in steps:
            found += await citing.push(reader.push(ANSWER[at : at + step]))
            at += step
        return found + await citing.push(reader.push(ANSWER[at:], last=True), last=True)

    assert asyncio.run(streamed()) == cited(ANSWER)


def test_streamed_citations_come_with_their_sentence() -> None:
    async def early() -> list[Citation]:
        return await CitationFinder(Evidence(QUESTION, CHUNKS, Words())).push(["Dragons live for 900 years. They"])

    assert files(asyncio.run(early())) == [1]


PARTS = [chunk(1, "The part PPR-9009 is a bracket for rack 9. It weighs 120 g."), chunk(2, "The part PPR-9010 is a shelf for rack 9.")]


def test_what_is_said_of_another_code_is_not_cited() -> None:
    question = "What weighs PPR-9999?"
    assert cited("The part PPR-9999 is a bracket for rack 9.", question, PARTS) == []
    assert cited("The part PPR-9999 is a bracket for rack 9 [1].", question, PARTS) == []
    assert files(cited("The part PPR-9009 is a bracket for rack 9.", "What is PPR9009?", PARTS)) == [1]
    assert files(cited("The part PPR-9010 is a shelf for rack 9 [1].", "What is PPR-9010?", PARTS)) == [2]


def test_what_is_said_of_another_name_is_not_cited() -> None:
    offices = [chunk(1, "Omar Reyes leads the Turin office.")]
    assert cited("The Lisbon office is led by Omar Reyes.", "Who leads the Lisbon office?", offices) == []
    assert files(cited("The Turin office is led by Omar Reyes.", "Who leads the Turin office?", offices)) == [1]
    assert cited("The Turin office has 250 desks.", "How many desks are there in Turin?", offices) == []
