"""One answer in the making, on this side of vLLM: which requests it takes, and what their outputs say."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from vllm.outputs import RequestOutput
from vllm.sampling_params import SamplingParams

from engine.api import Delta, Finish, InvalidGrammar, Request, ThoughtBudget, Usage
from engine.vllm.client.board import NEVER, Board, End, Note
from engine.vllm.client.sampling import is_steered, logprobs_of, prompt_logprobs_of, queued_of, to_params, to_steered_params
from engine.vllm.client.steering import Plan, ThoughtsEnd

ENDS: Mapping[End, Finish] = {End.STOP: "stop", End.LENGTH: "length", End.ABORT: "abort"}
FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "repetition": "length"}  # others: "abort"


@dataclass(frozen=True, slots=True)
class Place:
    board: Board
    number: int

    @property
    def note(self) -> Note:
        return self.board.read(self.number)


class Answer:
    """An answer is computed in one request to vLLM, or in several: where thoughts must end, or idle time has, it is interrupted and goes
    on as the answer to a longer prompt, most of which is in the prefix cache."""

    def __init__(self, request: Request, context: int, place: Place, keys: "count[int]") -> None:
        """`keys`: another number for each plan."""
        self.finish: Finish | None = None
        self.tokens: list[int] = []
        self._request, self._place, self._keys = request, place, keys
        self._most = min(context - len(request.tokens), request.sampling.max_tokens)
        self._seed = secrets.randbits(63) if request.sampling.seed is None else request.sampling.seed
        self._steered = is_steered(request)
        self._thoughts = None if request.thoughts is None else Thoughts(request.thoughts)
        self._cached = 0
        self._queued: float | None = None
        self._began = False
        place.board.write(place.number, Note())

    @property
    def usage(self) -> Usage:
        """So far; nothing before the first output."""
        return Usage(
            prompt=len(self._request.tokens) if self._began else 0, completion=len(self.tokens), cached=self._cached, queued=self._queued
        )

    @property
    def parted(self) -> bool:
        """What vLLM computes now is not wanted any more: it must be asked anew."""
        return self._thoughts is not None and self._thoughts.due(len(self.tokens))

    def ask(self) -> tuple[Sequence[int], SamplingParams]:
        """Prompt and parameters of the next request to vLLM."""
        sampling = self._request.sampling
        if self._began:
            sampling = replace(sampling, prompt_logprobs=None)
        if self.parted and self._thoughts is not None:
            self._thoughts.end(len(self.tokens))
        prompt = (*self._request.tokens, *self.tokens)
        return prompt, to_steered_params(sampling, self._plan()) if self._steered else to_params(sampling, self._most, len(self.tokens))

    def push(self, output: RequestOutput) -> Delta:
        """Raises InvalidGrammar for one that allows no first token."""
        first, self._began = not self._began, True
        if first:
            self._cached, self._queued = output.num_cached_tokens or 0, queued_of(output)
        note = self._place.note if self._steered else Note()
        new = self._wanted(output, note)
        self.tokens += output.outputs[0].token_ids[:new]
        request = self._request
        return Delta(
            tokens=tuple(self.tokens[len(self.tokens) - new :]),
            logprobs=logprobs_of(output, request.sampling.logprobs)[:new],
            prompt_logprobs=prompt_logprobs_of(output, request.tokens, request.sampling.prompt_logprobs) if first else (),
            finish=self.finish,
            usage=self.usage if first or self.finish else None,
            forced=NEVER < note.forced < len(self.tokens),
        )

    def _wanted(self, output: RequestOutput, note: Note) -> int:
        """How many of the output's tokens belong to the answer. Decides whether they are its last."""
        new, known = output.outputs[0].token_ids, len(self.tokens)
        wanted = min(len(new), self._most - known)
        if NEVER < note.end <= known + wanted:
            wanted, self.finish = note.end - known, ENDS[End(note.how)]
            if not note.end and self.finish == "length":
                raise InvalidGrammar("the grammar cannot be used: it allows no token at the beginning")
        elif output.finished:
            reason = FINISHES.get(output.outputs[0].finish_reason or "", "abort")
            forced = NEVER < note.forced < known + wanted
            self.finish = "length" if reason == "stop" and (forced or not wanted) else reason
        return wanted if self._thoughts is None else self._until_parted(new[:wanted])

    def _until_parted(self, new: Sequence[int]) -> int:
        assert self._thoughts is not None
        for seen, token in enumerate(new, 1):
            self._thoughts.accept(token)
            if self._thoughts.due(len(self.tokens) + seen) and (seen < len(new) or self.finish is None):
                self.finish = None
                return seen
        return len(new)

    def _plan(self) -> Plan:
        return Plan(
            key=next(self._keys),
            request=self._request,
            seed=self._seed,
            most=self._most,
            generated=len(self.tokens),
            thoughts=None if self._thoughts is None else self._thoughts.ended,
            board=self._place.board.path,
            place=self._place.number,
        )


class Thoughts:
    """A limit of one answer's thoughts, as it is kept outside of vLLM."""

    def __init__(self, budget: ThoughtBudget) -> None:
        self._budget, self._watch = budget, budget.watch()
        self.ended: ThoughtsEnd | None = None  # the last end that vLLM was asked for

    def accept(self, token: int) -> None:
        self._watch.accept(token)

    def due(self, tokens: int) -> bool:
        """Whether they must end now, behind so many tokens of the answer, or must not begin any more."""
        if self._watch.count < self._budget.tokens:
            return False
        if self.ended is None:
            return self._watch.thinking or bool(self._budget.reopening)
        return self._watch.thinking and tokens > self.ended.at + len(self.ended.tokens)

    def end(self, tokens: int) -> None:
        """Behind so many."""
        written = self._budget.end if self._watch.thinking else ()
        self.ended = ThoughtsEnd(at=tokens, tokens=written, reopening=self._budget.reopening)
