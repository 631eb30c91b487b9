"""One of a wish's answers: turns of the model and, between them, the tools that it calls."""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from engine.api import Usage
from retrieval.citations.marks import Part, spelled
from server.chat.call_tracker import CallTracker
from server.chat.grounding.grounding import NO_ANSWER, CannedEngine, GroundedQuestion
from server.chat.output_parser import output_deltas
from server.chat.tools.runner import (
    AllowedCall,
    RefusedCall,
    ToolBudget,
    ToolRunner,
    UnapprovedCall,
    Verdict,
    checked_arguments,
    clip_output,
    decide_calls,
)
from server.chat.tools.toolset import ServerTool, ToolOffer, Toolset, model_name
from server.chat.turn import CONTEXT_OVERFLOW, Turn, fit_turn
from server.core.errors import ApiError
from server.core.events import AnswerFinished, CitationsAdded, Event, OutputDelta
from server.core.messages import Assistant, Message, ToolCall, ToolResult
from server.core.request import ApprovalDecision, Caller, GenerationRequest
from server.core.timing import TimingObserver
from server.mcp import audit
from server.runtime.runtime import Runtime

Reason = Literal["stop", "length", "tool_calls", "approval"]
MIN_RESULT_TOKENS = 64  # tokens of a tool's output that are left of it at least, where the context is too small
NOT_APPROVED = "The user has not approved this call."


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all answers have in common."""

    runtime: Runtime
    request: GenerationRequest
    caller: Caller
    messages: Sequence[Message]
    toolset: Toolset
    first_turn: Turn | None = None  # the first turn, where it has been made already
    grounding: GroundedQuestion | None = None
    first_turn_seconds: float = 0.0  # seconds, on the first turn


@dataclass(slots=True)
class TurnOutput:
    """What a turn has brought."""

    text: str = ""
    reasoning: str = ""
    finish: Literal["stop", "length"] = "stop"


class Answer:
    def __init__(self, context: RunContext, index: int, observer: TimingObserver, budget: ToolBudget) -> None:
        self._context, self._index, self._observer, self._budget = context, index, observer, budget
        self._messages = list(context.messages)
        self._history_length = len(self._messages)  # what comes behind is from this request
        self._turns = self._prompt_tokens = self._completion_tokens = self._cached_tokens = self._reasoning_tokens = 0
        self._last_turn_tokens = 0  # tokens of the last turn
        self._overhead = (
            context.first_turn_seconds if context.first_turn else 0.0
        )  # seconds of this turn that were neither generation nor tools

    async def events(self) -> AsyncGenerator[Event]:
        scene = self._context
        if scene.request.approval_decisions:
            async with aclosing(self._run_decisions(scene.request.approval_decisions)) as decided:
                async for event in decided:
                    yield event
        while True:
            began = time.perf_counter()
            if (now := await self._next_turn()) is None:
                yield self._finished("length")
                return
            calls, spoken = now.call_tracker(scene.runtime.tokenizer, self._max_calls), TurnOutput()
            self._overhead += time.perf_counter() - began
            async with aclosing(self._generate(now, calls, spoken)) as speaking:
                async for event in speaking:
                    yield event
            made = self._completed_calls(calls.completed if calls else [], spoken, now)
            if not made:
                self._observer.turn(self._overhead)
                yield self._finished(spoken.finish)
                return
            async with aclosing(self._run_calls(made, spoken)) as calling:
                async for event in calling:
                    yield event
                    if isinstance(event, AnswerFinished):
                        return

    @property
    def _max_calls(self) -> int | None:
        """Calls of a turn. Those that the client runs are its own business."""
        return self._budget.limits.max_parallel_calls if self._context.toolset.server_tools else None

    def _completed_calls(self, made: Sequence[ToolCall], spoken: TurnOutput, now: Turn) -> Sequence[ToolCall]:
        """The calls that can be made. One that the engine has brought to its end because it went in circles is as if it had not been
        made, unless it is the only one. Where it could not, no more than where the tokens have run out."""
        if spoken.finish == "stop":
            return made
        if self._last_turn_tokens >= now.max_tokens or (made and not _is_json(made[-1])):
            return []
        ours = all(call.name in self._context.toolset.server_tools for call in made)
        return (made[:-1] or made) if ours else made

    async def _next_turn(self) -> Turn | None:
        """The next one. None: the context is full, or all tokens have been written."""
        scene, first = self._context, self._turns == 0
        self._turns += 1
        if first and scene.first_turn is not None:
            return scene.first_turn
        left = None if scene.request.max_tokens is None else scene.request.max_tokens - self._completion_tokens
        if left is not None and left <= 0:
            return None
        while True:
            try:
                kept, now = await fit_turn(scene.runtime, scene.request, self._messages, self._tool_offer(), left)
                self._history_length -= len(self._messages) - len(kept)
                self._messages = list(kept)
                return now
            except ApiError as error:
                if error.code != CONTEXT_OVERFLOW or len(self._messages) == self._history_length:
                    raise
                if not self._shorten_results():
                    return None

    def _tool_offer(self) -> ToolOffer:
        scene, ledger = self._context, self._budget
        if ledger.exhausted or ledger.seconds_left <= 0 or self._turns > ledger.limits.max_turns:
            return ToolOffer()
        again = len(self._messages) > self._history_length  # this request has had its call
        forced = scene.request.tool_choice not in ("auto", "none")
        return scene.toolset.offer("auto" if again and forced else scene.request.tool_choice)

    def _shorten_results(self) -> bool:
        """Halves this request's tool outputs. False: they are as short as they may be."""
        text, changed = self._context.runtime.tokenizer, False
        for at, said in enumerate(self._messages[self._history_length :], self._history_length):
            if isinstance(said, ToolResult):
                most = max(MIN_RESULT_TOKENS, len(text.encode(said.text)) // 2)
                shorter, cut = clip_output(text, said.text, most)
                if cut and len(shorter) < len(said.text):
                    self._messages[at], changed = replace(said, text=shorter), True
        return changed

    async def _generate(self, now: Turn, calls: CallTracker | None, spoken: TurnOutput) -> AsyncGenerator[Event]:
        scene, grounds = self._context, self._context.grounding
        text, formed = scene.runtime.tokenizer, scene.request.response_format is not None
        silent = grounds is not None and not grounds.hits and not formed
        engine = CannedEngine(text, NO_ANSWER) if silent else scene.runtime.engine
        request = now.engine_request(scene.runtime, scene.request, self._index)
        citing = grounds.new_citation_finder if grounds else None
        marks = grounds.new_mark_filter if grounds and not formed else None  # what looks like a mark in an answer with a form is none
        reader = now.output_parser(text, request, scene.request, calls, grounds)
        async with aclosing(output_deltas(engine, request, reader, self._observer)) as arriving:
            async for piece in arriving:
                said: list[Part] = [piece.text]
                if marks is not None:
                    said = marks.push(piece.text, last=piece.finish is not None or bool(piece.tool_calls))
                    piece.text = spelled(said)
                if calls is not None:
                    spoken.text += piece.text
                    spoken.reasoning += piece.reasoning
                if not piece.empty:
                    yield piece
                if citing and (cited := await citing.push(said, last=piece.finish is not None)):
                    yield CitationsAdded(citations=cited)
                if piece.finish:
                    spoken.finish = piece.finish
                    self._count_tokens(piece)

    def _count_tokens(self, last: OutputDelta) -> None:
        assert last.usage is not None  # `pieces` ends with it
        self._prompt_tokens += last.usage.prompt
        self._completion_tokens += last.usage.completion
        self._last_turn_tokens = last.usage.completion
        self._cached_tokens += last.usage.cached
        self._reasoning_tokens += last.reasoning_tokens

    async def _run_calls(self, made: Sequence[ToolCall], spoken: TurnOutput) -> AsyncGenerator[Event]:
        """Ended, where the client has to do something now."""
        began = time.perf_counter()
        mine = {tool.name for tool in self._context.toolset.client_tools}
        theirs, ours = [c for c in made if c.name in mine], [c for c in made if c.name not in mine]
        verdicts = await decide_calls(ours, self._context.toolset, self._budget)
        waiting = [verdict for verdict in verdicts if isinstance(verdict, UnapprovedCall)]
        self._observer.turn(self._overhead + time.perf_counter() - began)
        self._overhead = 0.0
        said = Assistant(text=spoken.text, reasoning=spoken.reasoning, tool_calls=tuple(ours))
        async with aclosing(self._run_tools(verdicts, said)) as running:
            async for event in running:
                yield event
        for wait in waiting:
            await self._audit(wait.call, wait.tool, "asked")
            yield wait.event()
        if theirs or waiting:
            yield self._finished("tool_calls" if theirs else "approval")

    async def _run_decisions(self, pending: Sequence[ApprovalDecision]) -> AsyncGenerator[Event]:
        """Runs what has been approved since the model asked for it."""
        verdicts = [await self._verdict_of(one) for one in pending]
        async with aclosing(self._run_tools(verdicts, Assistant(tool_calls=tuple(verdict.call for verdict in verdicts)))) as running:
            async for event in running:
                yield event

    async def _verdict_of(self, one: ApprovalDecision) -> AllowedCall | RefusedCall:
        name = model_name(one.server_label, one.name)
        call, hosted = ToolCall(id=one.approval_id, name=name, arguments=one.arguments), self._context.toolset.server_tools.get(name)
        if hosted is None:
            return RefusedCall(call, None, f"There is no tool {name} any more.", one.approval_id)
        await self._audit(call, hosted, "approved" if one.approved else "denied")
        if not one.approved:
            return RefusedCall(call, hosted, f"{NOT_APPROVED} {one.reason}" if one.reason else NOT_APPROVED, one.approval_id)
        if (why := self._budget.refusal(call)) is not None:
            return RefusedCall(call, hosted, why, one.approval_id)
        arguments = await checked_arguments(call, hosted)
        if isinstance(arguments, str):
            return RefusedCall(call, hosted, f"Not called: {arguments}", one.approval_id)
        self._budget.calls += 1
        return AllowedCall(call, hosted, arguments, one.approval_id)

    async def _audit(self, call: ToolCall, hosted: ServerTool, decision: str) -> None:
        arguments = await checked_arguments(call, hosted)
        known = {} if isinstance(arguments, str) else arguments
        audit.decided(hosted.server_label, hosted.tool.name, known, self._context.caller.owner, decision)

    async def _run_tools(self, verdicts: Sequence[Verdict], said: Assistant) -> AsyncGenerator[Event]:
        """What the tools said becomes part of the conversation."""
        if not verdicts:
            return
        scene, results = self._context, dict[str, str]()
        runner = ToolRunner(scene.runtime.tool_host, scene.caller.owner, scene.runtime.tokenizer, self._budget, results)
        async with aclosing(runner.run(verdicts)) as running:
            async for event in running:
                yield event
        done = tuple(call for call in said.tool_calls if call.id in results)
        told = (ToolResult(call_id=call.id, name=call.name, text=results[call.id]) for call in done)
        self._messages += [replace(said, tool_calls=done), *told]

    def _finished(self, reason: Reason) -> AnswerFinished:
        usage = Usage(prompt=self._prompt_tokens, completion=self._completion_tokens, cached=self._cached_tokens)
        return AnswerFinished(reason=reason, usage=usage, reasoning_tokens=self._reasoning_tokens)


def _is_json(call: ToolCall) -> bool:
    try:
        json.loads(call.arguments)
    except (ValueError, RecursionError):
        return False
    return True
