"""Finds for each sentence of an answer the passage that supports it, and the supporting sentence to quote.

The answer's own marks ([1] for the first passage) are kept unless another passage has strong support for the sentence and the
marked one has almost none. A sentence without marks is scored against every sentence of the passages: by shared words (weighted
by rarity), by cosine similarity, and by whether its numbers and names occur in the passage. A quote that says something about another
code, number or name than the sentence never supports it, with or without a mark.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api import EngineError
from retrieval.analysis.languages import DEFAULT
from retrieval.analysis.terms import terms, text_language
from retrieval.api import Chunk, Embedder, Vectors
from retrieval.chunking.sentences import sentences
from retrieval.citations.headings import HeadingDetector
from retrieval.citations.identifiers import Source, identifiers, numbers
from retrieval.citations.marks import CitationMark, CitationMarkParser, Part, parts_to_text

OPEN_MARK = re.compile(r"\s*\[[\d,;\s]*")  # may still become a mark of the sentence before it
NAME = re.compile(
    r"(?<=[\w,;:)] )[A-ZÀ-ÞА-Я][\w'’-]+|\w*\d[\w.,:/-]*\w|\d"
)  # a capitalized word within a sentence, or a token with a digit
WORD_WEIGHT, VECTOR_WEIGHT = 0.6, 0.4  # in the support score
QUESTION_WORD_WEIGHT = 0.4  # a word of the question counts less: the answer repeats it whatever supports it
MISMATCH_FACTOR = 0.5  # factor of the support when none of the claim's numbers and names occurs in the passage
MIN_SUPPORT = 0.45  # with less a sentence gets no citation
CORRECTION_SUPPORT, DOUBTFUL_SUPPORT = (
    0.6,
    0.25,
)  # a mark is corrected when another passage has the first and the marked one less than the second
SECOND_PASSAGE_SHARE = 0.35  # of a claim's word weight: cite a second passage that holds more than this of what the first lacks
CLEAR_SUPPORT = 0.8  # with this support by words alone no vectors are computed
SHORT_ANSWER = 6  # words; a shorter sentence is embedded together with the question

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """`quote` is text[start:end] of the chunk's document."""

    index: int  # offset in the answer: start of the mark or, without one, end of the sentence
    chunk: Chunk
    start: int
    end: int
    quote: str
    score: float  # support of the quote, 0..1


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer with its marks and their offsets in it."""

    text: str
    at: int  # offset in the answer
    marks: tuple[tuple[int, CitationMark], ...]

    @property
    def without_marks(self) -> str:
        text = self.text
        for at, mark in reversed(self.marks):
            text = text[:at] + text[at + len(mark.text) :]
        return text


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage."""

    passage: int  # from 0
    start: int  # characters of the passage
    end: int
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer."""

    words: frozenset[str]
    facts: frozenset[str]  # numbers and names that are not in the question
    embedding_text: str  # text that is embedded for it


class Evidence:
    """The passages that an answer was written from, in the order of their numbers. Their sentences are embedded once, when first
    needed; when the embedder fails, support is computed from words alone."""

    def __init__(self, question: str, chunks: Sequence[Chunk], embedder: Embedder) -> None:
        self.chunks, self._question, self._embedder = tuple(chunks), question, embedder
        self._headings = HeadingDetector(chunks)
        self._language = text_language("\n".join(chunk.text for chunk in chunks)) or DEFAULT
        self._question_words = self._terms(question)
        self._quotes = [q for i, chunk in enumerate(chunks) for q in self._sentences_of(i, chunk.text)]
        self._citable = frozenset(quote.passage for quote in self._quotes)
        self._words = [self._terms("\n".join((*chunk.headings, chunk.text))) for chunk in chunks]
        self._sources = [self._source(quote) for quote in self._quotes]
        self._numbers = numbers("\n".join(" ".join((chunk.text, chunk.filename, *chunk.headings)) for chunk in chunks))
        self._quote_vectors: Vectors | None = None

    async def cite(self, sentence: Sentence) -> list[Citation]:
        known = [(at, number - 1) for at, mark in sentence.marks for number in mark.numbers if number - 1 in self._citable]
        claim = self._claim(sentence.without_marks)
        if not self._quotes or not (claim.words or known):
            return []
        possible = self._without_contradictions(sentence.without_marks)
        support = await self._support(claim) * possible
        if known:
            marked = [(sentence.at + at, self._quote_of_mark(support, passage)) for at, passage in known]
            return [self._citation(at, quote, support) for at, quote in marked if possible[quote]]
        end = sentence.at + len(sentence.text)
        return [self._citation(end, quote, support) for quote in self._best_quotes(claim, support)]

    def is_copied_heading(self, line: Sentence, *, has_next_line: bool) -> bool:
        """Whether the line is a heading copied from a passage and has no marks."""
        return not line.marks and self._headings.is_heading(line.text, has_next_line=has_next_line)

    def _sentences_of(self, passage: int, text: str) -> list[Quote]:
        spans = sentences(text) or ([(0, len(text))] if text else [])
        return [Quote(passage, start, end, self._terms(text[start:end])) for start, end in spans]

    def _terms(self, text: str) -> frozenset[str]:
        return frozenset(terms(text, self._language))

    def _source(self, quote: Quote) -> Source:
        chunk = self.chunks[quote.passage]
        return Source(chunk.text[quote.start : quote.end], chunk.text, " ".join((chunk.filename, *chunk.headings)), self._language)

    def _without_contradictions(self, sentence: str) -> Weights:
        """1 for each quote that may support the sentence, 0 for one that is about something else, [quotes]. No quote supports a number that
        no passage holds."""
        claimed = identifiers(sentence, self._language)
        if not claimed.numbers <= self._numbers:
            return np.zeros(len(self._sources))
        return np.array([not source.contradicts(claimed) for source in self._sources], np.float64)

    def _claim(self, sentence: str) -> Claim:
        words = self._terms(sentence)
        facts = frozenset[str]().union(*map(self._terms, NAME.findall(sentence))) - self._question_words
        return Claim(words, facts, sentence if len(words) >= SHORT_ANSWER else f"{self._question} {sentence}")

    async def _support(self, claim: Claim) -> Weights:
        """Support of each quote for the claim, [quotes], 0..1."""
        words, agreement = self._word_support(claim), self._fact_agreement(claim)
        if _is_clear_winner(words * agreement, [quote.passage for quote in self._quotes]):
            return words * agreement
        try:
            meaning = await self._vector_support(claim)
        except EngineError:
            return words * agreement
        return (WORD_WEIGHT * words + VECTOR_WEIGHT * meaning) * agreement

    def _word_support(self, claim: Claim) -> Weights:
        """Weighted share of the claim's words in each quote, [quotes]; words that only the quote's passage holds count half."""
        if not claim.words:
            return np.zeros(len(self._quotes))
        weights = {word: self._weight(word) for word in claim.words}
        held = [sum(weights[w] for w in claim.words & quote.words) for quote in self._quotes]
        near = [sum(weights[w] for w in claim.words & self._words[quote.passage]) for quote in self._quotes]
        return (np.array(held) + np.array(near)) / (2 * sum(weights.values()))

    def _weight(self, word: str) -> float:
        df = sum(word in quote.words for quote in self._quotes)
        return float(np.log1p((len(self._quotes) + 1) / (df + 0.5))) * (QUESTION_WORD_WEIGHT if word in self._question_words else 1.0)

    def _fact_agreement(self, claim: Claim) -> Weights:
        """Factor for each quote, MISMATCH_FACTOR..1, by the share of the claim's numbers and names in its passage."""
        if not claim.facts:
            return np.ones(len(self._quotes))
        shares = [len(claim.facts & words) / len(claim.facts) for words in self._words]
        return np.array([MISMATCH_FACTOR + (1 - MISMATCH_FACTOR) * shares[quote.passage] for quote in self._quotes])

    async def _vector_support(self, claim: Claim) -> Weights:
        if self._quote_vectors is None:
            texts = [self.chunks[quote.passage].text[quote.start : quote.end] for quote in self._quotes]
            self._quote_vectors = _normalize_rows(await self._embedder.embed(texts, "document"))
        row = _normalize_rows(await self._embedder.embed([claim.embedding_text], "document"))[0]
        return np.clip(self._quote_vectors @ row, 0.0, 1.0).astype(np.float64)

    def _quote_of_mark(self, support: Weights, passage: int) -> int:
        """Index of the quote for a mark of `passage`: its best one, or the best of another passage when the mark is wrong."""
        marked, best = self._best_of(support, passage), int(np.argmax(support))
        return best if support[best] >= CORRECTION_SUPPORT and support[marked] < DOUBTFUL_SUPPORT else marked

    def _best_quotes(self, claim: Claim, support: Weights) -> list[int]:
        """Indices of the best quote and, where it adds enough of the claim's words, of one from a second passage."""
        first = int(np.argmax(support))
        if support[first] < MIN_SUPPORT:
            return []
        held = self._words[self._quotes[first].passage]
        total, lacking = sum(map(self._weight, claim.words)), claim.words - held
        gains = [sum(map(self._weight, lacking & words)) for words in self._words]
        second = int(np.argmax(gains))
        return [first] if gains[second] <= SECOND_PASSAGE_SHARE * total else [first, self._best_of(support, second)]

    def _best_of(self, support: Weights, passage: int) -> int:
        return max((i for i, quote in enumerate(self._quotes) if quote.passage == passage), key=lambda i: support[i])

    def _citation(self, index: int, quote: int, support: Weights) -> Citation:
        found, score = self._quotes[quote], round(float(support[quote]), 4)
        chunk = self.chunks[found.passage]
        span = {"start": chunk.start + found.start, "end": chunk.start + found.end}
        return Citation(index=index, chunk=chunk, quote=chunk.text[found.start : found.end], score=score, **span)


class CitationFinder:
    """Finds the citations of a streamed answer: each sentence is processed once the next one has begun."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._text, self._at = "", 0  # text not yet processed, and its offset in the answer
        self._marks: list[tuple[int, CitationMark]] = []  # and their offsets in the text

    async def push(self, parts: Sequence[Part], *, last: bool = False) -> list[Citation]:
        for part in parts:
            self._marks += [(len(self._text), part)] if isinstance(part, CitationMark) else []
            self._text += parts_to_text([part])
        spans = sentences(self._text)
        ready = spans if last else _finished_sentences(self._text, spans)
        found: list[Citation] = []
        for start, end in ready:
            sentence = self._sentence(start, end)
            if not self._evidence.is_copied_heading(sentence, has_next_line=_has_next_line(self._text, end)):
                found += await self._evidence.cite(sentence)
        if ready:
            end = ready[-1][1]
            self._text, self._at = self._text[end:], self._at + end
            self._marks = [(at - end, mark) for at, mark in self._marks if at >= end]
        return found

    def _sentence(self, start: int, end: int) -> Sentence:
        marks = tuple((at - start, mark) for at, mark in self._marks if start <= at < end)
        return Sentence(self._text[start:end], self._at + start, marks)


async def cite(answer: str, question: str, chunks: Sequence[Chunk], embedder: Embedder) -> list[Citation]:
    """Citations of a whole answer, in its order. `chunks`: the passages, chunks[n - 1] for the mark [n]."""
    parts = CitationMarkParser([chunk.text for chunk in chunks]).push(answer, last=True)
    return await CitationFinder(Evidence(question, chunks, embedder)).push(parts, last=True)


def _finished_sentences(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The leading spans that no further text can change."""
    waiting = len(spans) > 1 and OPEN_MARK.fullmatch(text, spans[-2][1])
    return spans[:-2] if waiting else spans[:-1]


def _has_next_line(text: str, end: int) -> bool:
    """Whether another line follows."""
    rest = text[end:].lstrip(" \t")
    return rest.startswith("\n") and bool(rest.strip())


def _is_clear_winner(support: Weights, passages: Sequence[int]) -> bool:
    """Whether one passage is far ahead of all others."""
    best = int(np.argmax(support))
    others = [s for s, passage in zip(support, passages, strict=True) if passage != passages[best]]
    return bool(support[best] >= CLEAR_SUPPORT and max(others, default=0.0) <= support[best] / 2)


def _normalize_rows(rows: Vectors) -> Vectors:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
