"""What a model says of one window: asked again, less and less strictly, where its answer is in doubt (Radford et al. 2022, arXiv
2212.04356, section 4.5)."""

import asyncio
import math
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

from engine.api import Delta, EngineError, Frames, Request, Sampling, Timestamps, TokenLogprob
from server.speech.model import SpeechEngine
from server.speech.tokens import SpeechTokens
from server.speech.words.times import SpokenTokens, TimedWord, timed_words
from server.text.tokenizer import ChatTokenizer

MOST_COMPRESSIBLE = 2.4  # a text that zlib shrinks more goes in circles
LEAST_LOGPROB = -1.0  # on average, of an answer that is not in doubt
NO_SPEECH = 0.6  # probability from which a doubtful answer is taken for silence
LATEST_START = 50  # times of 20 ms: an answer begins in the window's first second


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    logprobs: tuple[TokenLogprob, ...]  # of each token, without the end
    text: str
    temperature: float
    avg_logprob: float  # with the end's; of the model's own distribution, before anything was forbidden
    no_speech_prob: float

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(logprob.token for logprob in self.logprobs)

    @property
    def compression_ratio(self) -> float:
        return compression_ratio(self.text)

    @property
    def repeats(self) -> bool:
        return self.compression_ratio > MOST_COMPRESSIBLE

    @property
    def silent(self) -> bool:
        return self.no_speech_prob > NO_SPEECH and self.avg_logprob < LEAST_LOGPROB

    @property
    def doubtful(self) -> bool:
        return (self.repeats or self.avg_logprob < LEAST_LOGPROB) and not self.silent


def compression_ratio(text: str) -> float:
    """Bytes of the text to those that zlib makes of it."""
    encoded = text.strip().encode()
    return len(encoded) / len(zlib.compress(encoded))


@dataclass(frozen=True, slots=True)
class Listener:
    engine: SpeechEngine
    tokenizer: ChatTokenizer
    tokens: SpeechTokens

    @property
    def most_previous(self) -> int:
        """Tokens of text before the window that the model may be told."""
        return self.engine.info.context // 2 - 1

    def text(self, tokens: Sequence[int]) -> str:
        """Without times."""
        return b"".join(self.tokenizer.token_bytes[token] for token in tokens if token < self.tokens.end).decode(errors="replace")

    def spoken(self, logprobs: Sequence[TokenLogprob]) -> list[TokenLogprob]:
        """Those of text: times, and all that steers, stand behind the end in the vocabulary."""
        return [logprob for logprob in logprobs if logprob.token < self.tokens.end]

    async def language(self, frames: Frames) -> str:
        """The most likely one."""
        names = list(self.tokens.languages)
        scored = await self._scored(frames, (self.tokens.start,), [self.tokens.languages[name] for name in names])
        return names[max(range(len(names)), key=scored.__getitem__)]

    async def hear(self, frames: Frames, previous: Sequence[int], opening: Sequence[int], sampling: Sequence[Sampling]) -> Answer:
        """`previous`: text before the window; `sampling`: as it is tried, in this order. Where all answers are in doubt the most likely
        of those is taken that do not go in circles."""
        before = self._before(previous)
        no_speech_prob = await self._no_speech_prob(frames, before)
        answers: list[Answer] = []
        for tried in sampling:
            answers.append(await self._answer(frames, (*before, *opening), tried, no_speech_prob))
            if not answers[-1].doubtful:
                return answers[-1]
        best = max(answers, key=lambda answer: (not answer.repeats, answer.avg_logprob))
        return replace(best, temperature=answers[-1].temperature)

    async def words(
        self, frames: Frames, opening: Sequence[int], spoken: Sequence[TokenLogprob], language: str, rows: int
    ) -> list[TimedWord]:
        """Of text that was said in one window. `rows`: how many of the encoder's are of the recording."""
        text = SpokenTokens([token.token for token in spoken], [math.exp(token.logprob) for token in spoken], language)
        told = (*opening, self.tokens.no_times, *text.tokens, self.tokens.end)
        request = Request(tokens=told, encoder=frames, sampling=Sampling(max_tokens=0))
        weights = await self.engine.align(request, self.tokens.alignment_heads)
        return await asyncio.to_thread(timed_words, text, self.tokenizer.token_bytes, weights, rows)

    def sampling(self, temperature: float, seed: int | None) -> Sampling:
        tokens = self.tokens
        return Sampling(
            max_tokens=self.engine.info.context // 2,
            temperature=temperature,
            seed=seed,
            stop_tokens=frozenset({tokens.end}),
            bad_words=tuple((token,) for token in tokens.suppressed),
            not_first=tokens.suppressed_first,
            timestamps=Timestamps(first=tokens.first_time, end=tokens.end, never=tokens.no_times, latest_start=LATEST_START),
            logprobs=0,
        )

    def _before(self, previous: Sequence[int]) -> tuple[int, ...]:
        last = previous[-self.most_previous :]
        return (self.tokens.previous, *last) if last and self.tokens.previous is not None else ()

    async def _no_speech_prob(self, frames: Frames, before: Sequence[int]) -> float:
        if self.tokens.no_speech is None:
            return 0.0
        scored = await self._scored(frames, (*before, self.tokens.start), [self.tokens.no_speech])
        return math.exp(scored[0])

    async def _scored(self, frames: Frames, prompt: Sequence[int], scored: Sequence[int]) -> Sequence[float]:
        """Their logprobs as the token behind `prompt`."""
        sampling = Sampling(max_tokens=1, temperature=0.0, logprobs=0, scored=tuple(scored))
        return (await self._generated(Request(tokens=tuple(prompt), encoder=frames, sampling=sampling)))[0].scored

    async def _answer(self, frames: Frames, prompt: tuple[int, ...], sampling: Sampling, no_speech_prob: float) -> Answer:
        room = self.engine.info.context - len(prompt)
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        found = await self._generated(Request(tokens=prompt, encoder=frames, sampling=sampling))
        said = tuple(logprob for logprob in found if logprob.token != self.tokens.end)
        return Answer(
            logprobs=said,
            text=self.text([logprob.token for logprob in said]),
            temperature=sampling.temperature,
            avg_logprob=sum(logprob.logprob for logprob in found) / (len(said) + 1),
            no_speech_prob=no_speech_prob,
        )

    async def _generated(self, request: Request) -> list[TokenLogprob]:
        found: list[TokenLogprob] = []
        async with aclosing(cast("AsyncGenerator[Delta]", self.engine.generate(request))) as deltas:
            async for delta in deltas:
                if delta.finish == "abort":
                    raise EngineError("the engine could not go on with this request")
                found += delta.logprobs
        return found
