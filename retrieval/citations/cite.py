"""Which passage each sentence of an answer rests on, and with which of its sentences.

The answer's own marks, [1] for the first passage, are believed unless another passage clearly holds what the sentence says
and the marked one clearly does not. A sentence without marks is held against every sentence of the passages: by the words
they share, rare ones counting more, by the nearness of their vectors, and by whether its numbers and names occur there.
RAGFlow does the like with fixed weights per passage; here numbers must agree and the best sentence is the quote.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api import EngineError
from retrieval.api import Chunk, Embedder, Vectors
from retrieval.chunking.sentences import sentences
from retrieval.citations.headings import Captions
from retrieval.citations.marks import CitationMark, CitationMarkParser, Part, parts_to_text
from retrieval.search.lexical import terms

OPEN_MARK = re.compile(r"\s*\[[\d,;\s]*")  # what may yet become a mark of the sentence before it
NAME = re.compile(r"(?<=[\w,;:)] )[A-ZÀ-ÞА-Я][\w'’-]+|\w*\d[\w.,:/-]*\w|\d")  # a capital within a sentence, anything with a digit
WORDS, MEANING = 0.6, 0.4  # shares of the two in the score
KNOWN = 0.4  # what a word of the question counts: the answer repeats it whatever it rests on
FALSE = 0.5  # what remains of a score when none of the numbers and names occurs in the passage
ENOUGH = 0.45  # a sentence with less support rests on no passage
SURE, DOUBTFUL = 0.6, 0.25  # a mark is corrected when another passage has the one and the marked one less than the other
MISSING = 0.35  # a second passage is cited for a share of the words that the first lacks
CLEAR = 0.8  # support by words alone that needs no vectors
SHORT = 6  # an answer of fewer words is compared together with its question

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """`quote` is what stands at start:end of the text of the chunk's document."""

    index: int  # characters of the answer: where the mark begins; without one, where the sentence ends
    chunk: Chunk
    start: int
    end: int
    quote: str
    score: float  # 0..1, of the quote's support


@dataclass(frozen=True, slots=True)
class Sentence:
    """Of an answer, with the marks in it and where each begins."""

    text: str
    at: int  # where in the answer it begins
    marks: tuple[tuple[int, CitationMark], ...]

    @property
    def bare(self) -> str:
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
    facts: frozenset[str]  # numbers and names that the question does not hold
    compared: str  # what its vector is made of


class Evidence:
    """The passages that an answer was written from, in the order of their numbers. Their vectors are made once, when they are
    first needed; without vectors (the embedder is too busy or has stopped) words alone decide."""

    def __init__(self, question: str, chunks: Sequence[Chunk], embedder: Embedder) -> None:
        self.chunks, self._question, self._embedder = tuple(chunks), question, embedder
        self._captions = Captions(chunks)
        self._asked = frozenset(terms(question))
        self._quotes = [q for i, chunk in enumerate(chunks) for q in _quotes(i, chunk.text)]
        self._quoted = frozenset(quote.passage for quote in self._quotes)
        self._words = [frozenset(terms("\n".join((*chunk.headings, chunk.text)))) for chunk in chunks]
        self._rows: Vectors | None = None

    async def cite(self, sentence: Sentence) -> list[Citation]:
        known = [(at, number - 1) for at, mark in sentence.marks for number in mark.numbers if number - 1 in self._quoted]
        claim = self._claim(sentence.bare)
        if not self._quotes or not (claim.words or known):
            return []
        support = await self._support(claim)
        if known:
            return [self._citation(sentence.at + at, self._checked(support, passage), support) for at, passage in known]
        end = sentence.at + len(sentence.text)
        return [self._citation(end, quote, support) for quote in self._resting(claim, support)]

    def titles(self, line: Sentence, *, followed: bool) -> bool:
        """Whether it is a heading, and the model has not marked it."""
        return not line.marks and self._captions.holds(line.text, followed=followed)

    def _claim(self, sentence: str) -> Claim:
        words = frozenset(terms(sentence))
        facts = frozenset(word for name in NAME.findall(sentence) for word in terms(name)) - self._asked
        return Claim(words, facts, sentence if len(words) >= SHORT else f"{self._question} {sentence}")

    async def _support(self, claim: Claim) -> Weights:
        """Of each quote, 0..1."""
        words, agreement = self._by_words(claim), self._agreement(claim)
        if _clear(words * agreement, [quote.passage for quote in self._quotes]):
            return words * agreement
        try:
            meaning = await self._by_meaning(claim)
        except EngineError:
            return words * agreement
        return (WORDS * words + MEANING * meaning) * agreement

    def _by_words(self, claim: Claim) -> Weights:
        """The share of the claim's words, by weight, that a quote holds; what only its passage holds counts half."""
        if not claim.words:
            return np.zeros(len(self._quotes))
        weights = {word: self._weight(word) for word in claim.words}
        held = [sum(weights[w] for w in claim.words & quote.words) for quote in self._quotes]
        near = [sum(weights[w] for w in claim.words & self._words[quote.passage]) for quote in self._quotes]
        return (np.array(held) + np.array(near)) / (2 * sum(weights.values()))

    def _weight(self, word: str) -> float:
        df = sum(word in quote.words for quote in self._quotes)
        return float(np.log1p((len(self._quotes) + 1) / (df + 0.5))) * (KNOWN if word in self._asked else 1.0)

    def _agreement(self, claim: Claim) -> Weights:
        """By how much the numbers and names of the claim speak for each quote's passage, FALSE..1."""
        if not claim.facts:
            return np.ones(len(self._quotes))
        shares = [len(claim.facts & words) / len(claim.facts) for words in self._words]
        return np.array([FALSE + (1 - FALSE) * shares[quote.passage] for quote in self._quotes])

    async def _by_meaning(self, claim: Claim) -> Weights:
        if self._rows is None:
            texts = [self.chunks[quote.passage].text[quote.start : quote.end] for quote in self._quotes]
            self._rows = _unit(await self._embedder.embed(texts, "document"))
        row = _unit(await self._embedder.embed([claim.compared], "document"))[0]
        return np.clip(self._rows @ row, 0.0, 1.0).astype(np.float64)

    def _checked(self, support: Weights, passage: int) -> int:
        """The quote that a mark stands for."""
        marked, best = self._best_of(support, passage), int(np.argmax(support))
        return best if support[best] >= SURE and support[marked] < DOUBTFUL else marked

    def _resting(self, claim: Claim, support: Weights) -> list[int]:
        """The best quote, and one of another passage that holds much of what the first passage lacks."""
        first = int(np.argmax(support))
        if support[first] < ENOUGH:
            return []
        held = self._words[self._quotes[first].passage]
        total, lacking = sum(map(self._weight, claim.words)), claim.words - held
        gains = [sum(map(self._weight, lacking & words)) for words in self._words]
        second = int(np.argmax(gains))
        return [first] if gains[second] <= MISSING * total else [first, self._best_of(support, second)]

    def _best_of(self, support: Weights, passage: int) -> int:
        return max((i for i, quote in enumerate(self._quotes) if quote.passage == passage), key=lambda i: support[i])

    def _citation(self, index: int, quote: int, support: Weights) -> Citation:
        found, score = self._quotes[quote], round(float(support[quote]), 4)
        chunk = self.chunks[found.passage]
        span = {"start": chunk.start + found.start, "end": chunk.start + found.end}
        return Citation(index=index, chunk=chunk, quote=chunk.text[found.start : found.end], score=score, **span)


class CitationFinder:
    """Cites an answer that is still being written: each sentence as soon as the next one begins."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._text, self._at = "", 0  # what is not yet cited, and where in the answer it begins
        self._marks: list[tuple[int, CitationMark]] = []  # in it

    async def push(self, parts: Sequence[Part], *, last: bool = False) -> list[Citation]:
        for part in parts:
            self._marks += [(len(self._text), part)] if isinstance(part, CitationMark) else []
            self._text += parts_to_text([part])
        spans = sentences(self._text)
        ready = spans if last else _settled(self._text, spans)
        found: list[Citation] = []
        for start, end in ready:
            sentence = self._sentence(start, end)
            if not self._evidence.titles(sentence, followed=_followed(self._text, end)):
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
    """In the order of the answer. `chunks`: what it was written from, as its marks count them."""
    parts = CitationMarkParser([chunk.text for chunk in chunks]).push(answer, last=True)
    return await CitationFinder(Evidence(question, chunks, embedder)).push(parts, last=True)


def _settled(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that no further text can change."""
    waiting = len(spans) > 1 and OPEN_MARK.fullmatch(text, spans[-2][1])
    return spans[:-2] if waiting else spans[:-1]


def _followed(text: str, end: int) -> bool:
    """Whether another line comes behind."""
    rest = text[end:].lstrip(" \t")
    return rest.startswith("\n") and bool(rest.strip())


def _quotes(passage: int, text: str) -> list[Quote]:
    spans = sentences(text) or ([(0, len(text))] if text else [])
    return [Quote(passage, start, end, frozenset(terms(text[start:end]))) for start, end in spans]


def _clear(support: Weights, passages: Sequence[int]) -> bool:
    """Whether one passage is far ahead of all others."""
    best = int(np.argmax(support))
    others = [s for s, passage in zip(support, passages, strict=True) if passage != passages[best]]
    return bool(support[best] >= CLEAR and max(others, default=0.0) <= support[best] / 2)


def _unit(rows: Vectors) -> Vectors:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
