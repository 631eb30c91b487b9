"""Answers whose tokens are not vLLM's to choose, in its worker process: those with a grammar, a limit of thoughts, or sequences that are
forbidden. Their tokens are chosen by the embedded engine's sampler, from vLLM's logits."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.api import Request, ThoughtBudget
from engine.embedded.sampling.closing import Closer, Closers
from engine.embedded.sampling.grammar import GrammarCompiler, Matcher
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.sampling.thoughts import ThoughtLimit
from engine.vllm.client.board import NEVER, Board, End, Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtsEnd:
    """Thoughts end behind `at` tokens of the answer: `tokens` are written there (none: they have ended by themselves)."""

    at: int
    tokens: tuple[int, ...]
    reopening: tuple[tuple[int, ...], ...]  # sequences that are forbidden from there on


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the tokens of one answer are chosen; goes to the worker with the request."""

    key: int  # another for each plan
    request: Request  # without its tokens, and what is used elsewhere: `thoughts`, `charge`
    seed: int
    most: int  # tokens of the whole answer
    generated: int  # the prompt's last tokens that are the answer's first: it has begun before
    thoughts: ThoughtsEnd | None
    board: Path
    place: int  # of its notes there

    def packed(self) -> bytes:
        return pickle.dumps(replace(self, request=replace(self.request, tokens=(), thoughts=None, charge=None)))

    @classmethod
    def unpacked(cls, packed: bytes) -> "Plan":
        """Of what `packed` has made, in another process of this server."""
        return pickle.loads(packed)


class Tools:
    """What the answers of one model share."""

    def __init__(self, tokenizer_json: str, vocab: int, end_tokens: Sequence[int]) -> None:
        self.compiler = GrammarCompiler(tokenizer_json, vocab, end_tokens)
        self.closers = Closers(self.compiler.tokenizer)
        self._boards: dict[Path, Board | None] = {}

    def board(self, path: Path) -> Board | None:
        """None in a worker on another machine, which can tell nothing."""
        if path not in self._boards:
            self._boards[path] = Board(path) if path.exists() else None
        return self._boards[path]

    def sampler(self, plan: Plan, prompt: Sequence[int]) -> TokenSampler:
        matcher = None if plan.request.grammar is None else self.compiler.compile(plan.request.grammar, plan.request.owner)
        closer = None if matcher is None else self._closer(plan, matcher)
        thoughts = None if plan.thoughts is None else _thought_limit(plan.thoughts)
        return TokenSampler(plan.request.sampling, plan.seed, prompt, matcher, closer, thoughts, plan.most)

    def _closer(self, plan: Plan, matcher: Matcher) -> Closer | None:
        return None if plan.request.closing is None else self.closers.new(plan.request, matcher, plan.most)


class Steered:
    """One answer. `output`: vLLM's list of the tokens behind `prompt`, which grows."""

    def __init__(self, plan: Plan, prompt: Sequence[int], output: Sequence[int], tools: Tools) -> None:
        self.plan, self.output = plan, output
        self._tools, self._board = tools, tools.board(plan.board)
        begun = len(prompt) - plan.generated
        self._prompt, self._before = prompt[:begun], prompt[begun:]
        self._accepted, self._last = NEVER, NEVER  # tokens of the answer that the sampler knows, and the last of them
        self._note = Note()

    def choose(self, row_Y: NDArray[np.float32]) -> int:
        """The next token. vLLM computes rows whose tokens it throws away (of parts of a prompt): then the answer does not grow."""
        if not self._is_in_step():
            self._begin_again()
        if self._note.end != NEVER:
            return self._last_resort(row_Y)
        token = self._sampler.choose(row_Y)
        if token is None:
            self._end(self._failure())
            return self._last_resort(row_Y)
        self._accept(token)
        return token

    def _is_in_step(self) -> bool:
        known = len(self._before) + len(self.output)
        return self._accepted == known and (not self.output or self.output[-1] == self._last)

    def _begin_again(self) -> None:
        self._sampler = self._tools.sampler(self.plan, self._prompt)
        self._accepted, self._note = 0, Note()
        for token in (*self._before, *self.output):
            if self._sampler.matcher is not None:
                self._sampler.matcher.end_character(token)  # where the end of thoughts was written
            self._accept(token)
        self._write(self._note)

    def _accept(self, token: int) -> None:
        sampler = self._sampler
        self._accepted, self._last = self._accepted + 1, token
        if sampler.closed_early and self._note.forced == NEVER:
            self._write(self._note._replace(forced=self._accepted - 1))
        if token in self.plan.request.sampling.stop_tokens:
            return  # vLLM ends it
        if sampler.accept(token):
            self._end(End.LENGTH if sampler.closed_early else End.STOP)
        elif sampler.stuck:
            self._end(End.LENGTH)

    def _failure(self) -> End:
        return End.ABORT if self._sampler.failure is None else End.LENGTH

    def _end(self, how: End) -> None:
        self._write(self._note._replace(end=self._accepted, how=how))

    def _write(self, note: Note) -> None:
        self._note = note
        if self._board is not None:
            self._board.write(self.plan.place, note)

    def _last_resort(self, row_Y: NDArray[np.float32]) -> int:
        """The answer has ended; who reads it drops what is computed until vLLM hears of that."""
        return min(self.plan.request.sampling.stop_tokens, default=int(row_Y.argmax()))


class _Passed:
    """The thoughts that end `at` tokens behind the beginning: they were counted elsewhere."""

    def __init__(self, end: ThoughtsEnd) -> None:
        self._end, self._tokens = end, 0

    @property
    def thinking(self) -> bool:
        return self._tokens == self._end.at and bool(self._end.tokens)

    @property
    def count(self) -> int:
        return int(self._tokens >= self._end.at)

    def accept(self, token: int) -> None:
        self._tokens += 1


def _thought_limit(end: ThoughtsEnd) -> ThoughtLimit:
    return ThoughtLimit(ThoughtBudget(tokens=1, end=end.tokens, reopening=end.reopening, watch=lambda: _Passed(end)))
