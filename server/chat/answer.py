"""One answer to a request: turns of the model and, between them, the server tools that it calls."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from engine.api import Usage
from retrieval.citations.marks import Part, parts_to_text
from server.chat.call_tracker import CallTracker
from server.chat.grounding.grounding import NO_ANSWER, CannedEngine, GroundedQuestion
from server.chat.streams import output_deltas
from server.chat.tools.budget import ToolBudget
from server.chat.tools.decisions import AllowedCall, RefusedCall, UnapprovedCall, Verdict, checked_arguments, decide_calls, without_cut_call
from server.chat.tools.runner import ToolRunner, clip_output
from server.chat.tools.toolset import ServerTool, ToolOffer, Toolset, model_name
from server.chat.truncation import fit_turn
from server.chat.turn import CONTEXT_OVERFLOW, Turn
from server.core.errors import ApiError
from server.core.events import AnswerFinished, CitationsAdded, Event, OutputDelta
from server.core.messages import Assistant, Message, ToolCall, ToolResult
from server.core.request import ApprovalDecision, Caller, GenerationRequest
from server.core.timing import TimingObserver
from server.mcp import audit
from server.runtime.runtime import Runtime
from server.runtime.seeing import with_shown_images

Reason = Literal["stop", "length", "tool_calls", "approval"]
MIN_RESULT_TOKENS = 64  # a tool's output is not shortened further
NOT_APPROVED = "The user has not approved this call."


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all answers to a request share."""

    runtime: Runtime
    request: GenerationRequest
    caller: Caller
    messages: Sequence[Message]
    toolset: Toolset
    first_turn: Turn | None = None  # built already, where nothing has changed since
    grounding: GroundedQuestion | None = None
    first_turn_seconds: float = 0.0  # spent on building it


@dataclass(slots=True)
class TurnOutput:
    """Everything a turn has generated so far."""

    text: str = ""
    reasoning: str = ""
    finish: Literal["stop", "length"] = "stop"


class Answer:
    """Runs the loop for the `index`-th answer."""

    def __init__(self, context: RunContext, index: int, observer: TimingObserver, budget: ToolBudget) -> None:
        self._context, self._index, self._observer, self._budget = context, index, observer, budget
        self._messages = list(context.messages)
        self._history_length = len(self._messages)  # messages before those of this answer
        self._turns = self._prompt_tokens = self._completion_tokens = self._cached_tokens = self._reasoning_tokens = 0
        self._last_turn_tokens = 0
        self._context_full = False  # the last turn ended because nothing more fits the context
        # seconds of this turn that were neither generation nor tools
        self._overhead = context.first_turn_seconds if context.first_turn else 0.0

    async def events(self) -> AsyncGenerator[Event]:
        context = self._context
        if context.request.approval_decisions:
            async with aclosing(self._run_decisions(context.request.approval_decisions)) as events:
                async for event in events:
                    yield event
        while True:
            began = time.perf_counter()
            if (turn := await self._next_turn()) is None:
                yield self._finished("length")
                return
            tracker, output = turn.call_tracker(context.runtime.tokenizer, self._max_calls), TurnOutput()
            self._overhead += time.perf_counter() - began
            async with aclosing(self._generate(turn, tracker, output)) as events:
                async for event in events:
                    yield event
            calls = self._completed_calls(tracker.completed if tracker else [], output, turn)
            if not calls:
                self._observer.turn(self._overhead)
                yield self._finished(output.finish)
                return
            async with aclosing(self._run_calls(calls, output)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, AnswerFinished):
                        return

    @property
    def _max_calls(self) -> int | None:
        """Of one turn. None where the client runs all tools: then it is not limited."""
        return self._budget.limits.max_parallel_calls if self._context.toolset.server_tools else None

    def _completed_calls(self, calls: Sequence[ToolCall], output: TurnOutput, turn: Turn) -> Sequence[ToolCall]:
        """The calls to run, or for the client to run. None where the tokens ran out."""
        if output.finish == "stop":
            return calls
        return [] if self._last_turn_tokens >= turn.max_tokens else without_cut_call(calls, self._context.toolset)

    async def _next_turn(self) -> Turn | None:
        """None: the context is full, or max_tokens are used up."""
        context, first = self._context, self._turns == 0
        self._turns += 1
        if first and context.first_turn is not None:
            return context.first_turn
        left = None if context.request.max_tokens is None else context.request.max_tokens - self._completion_tokens
        if left is not None and left <= 0:
            return None
        while True:
            try:
                fitting, turn = await fit_turn(context.runtime, context.request, self._messages, self._tool_offer(), left)
                self._history_length -= len(self._messages) - len(fitting)
                self._messages = list(fitting)
                return turn
            except ApiError as error:
                if error.code != CONTEXT_OVERFLOW or len(self._messages) == self._history_length:
                    raise
                if not self._shorten_results():
                    self._context_full = True
                    return None

    def _tool_offer(self) -> ToolOffer:
        context, budget = self._context, self._budget
        if budget.exhausted or budget.seconds_left <= 0 or self._turns > budget.limits.max_turns:
            return ToolOffer()
        has_called = len(self._messages) > self._history_length  # then a required call has been made
        forced = context.request.tool_choice not in ("auto", "none")
        return context.toolset.offer("auto" if has_called and forced else context.request.tool_choice)

    def _shorten_results(self) -> bool:
        """Halves the tool outputs of this answer. False: they are as short as they may be."""
        tokenizer, changed = self._context.runtime.tokenizer, False
        for i, message in enumerate(self._messages[self._history_length :], self._history_length):
            if isinstance(message, ToolResult):
                limit = max(MIN_RESULT_TOKENS, len(tokenizer.encode(message.text)) // 2)
                shorter, clipped = clip_output(tokenizer, message.text, limit)
                if clipped and len(shorter) < len(message.text):
                    self._messages[i], changed = replace(message, text=shorter), True
        return changed

    async def _generate(self, turn: Turn, tracker: CallTracker | None, output: TurnOutput) -> AsyncGenerator[Event]:
        """The deltas of one turn, with citations. Fills `output`."""
        context, grounding = self._context, self._context.grounding
        tokenizer, has_format = context.runtime.tokenizer, context.request.response_format is not None
        nothing_found = grounding is not None and not grounding.hits and not has_format
        engine = CannedEngine(tokenizer, NO_ANSWER) if nothing_found else context.runtime.engine
        if nothing_found:  # which is said without a thought
            turn = replace(turn, prompt=replace(turn.prompt, place="answer"))
        request = turn.engine_request(context.runtime, context.request, self._index)
        citations = grounding.new_citation_finder if grounding else None
        marks = grounding.new_mark_filter if grounding and not has_format else None  # in JSON, [1] is no citation mark
        parser = turn.output_parser(tokenizer, request, context.request, tracker, grounding)
        async with aclosing(output_deltas(engine, request, parser, self._observer)) as deltas:
            async for delta in deltas:
                parts: list[Part] = [delta.text]
                if marks is not None:
                    parts = marks.push(delta.text, last=delta.finish is not None or bool(delta.tool_calls))
                    delta.text = parts_to_text(parts)
                if tracker is not None:
                    output.text += delta.text
                    output.reasoning += delta.reasoning
                if not delta.empty:
                    yield delta
                if citations and (added := await citations.push(parts, last=delta.finish is not None)):
                    yield CitationsAdded(citations=added)
                if delta.finish:
                    output.finish = delta.finish
                    self._count_tokens(delta)

    def _count_tokens(self, last: OutputDelta) -> None:
        assert last.usage is not None  # the last delta has it
        self._prompt_tokens += last.usage.prompt
        self._completion_tokens += last.usage.completion
        self._last_turn_tokens = last.usage.completion
        used = last.usage.prompt + last.usage.completion
        self._context_full = last.finish == "length" and used >= self._context.runtime.engine.info.context
        self._cached_tokens += last.usage.cached
        self._reasoning_tokens += last.reasoning_tokens

    async def _run_calls(self, calls: Sequence[ToolCall], output: TurnOutput) -> AsyncGenerator[Event]:
        """Runs server tools. Ends with AnswerFinished if the client has calls to run or approvals to give."""
        began = time.perf_counter()
        client_tools = {tool.name for tool in self._context.toolset.client_tools}
        client_calls, server_calls = [c for c in calls if c.name in client_tools], [c for c in calls if c.name not in client_tools]
        verdicts = await decide_calls(server_calls, self._context.toolset, self._budget)
        unapproved = [verdict for verdict in verdicts if isinstance(verdict, UnapprovedCall)]
        self._observer.turn(self._overhead + time.perf_counter() - began)
        self._overhead = 0.0
        message = Assistant(text=output.text, reasoning=output.reasoning, tool_calls=tuple(server_calls))
        async with aclosing(self._run_tools(verdicts, message)) as events:
            async for event in events:
                yield event
        for verdict in unapproved:
            await self._audit(verdict.call, verdict.tool, "asked")
            yield verdict.event()
        if client_calls or unapproved:
            cut = client_calls and output.finish == "length"
            yield self._finished("length" if cut else "tool_calls" if client_calls else "approval")

    async def _run_decisions(self, decisions: Sequence[ApprovalDecision]) -> AsyncGenerator[Event]:
        """Runs the calls that the user has approved since the model made them."""
        verdicts = [await self._verdict_of(decision) for decision in decisions]
        async with aclosing(self._run_tools(verdicts, Assistant(tool_calls=tuple(verdict.call for verdict in verdicts)))) as events:
            async for event in events:
                yield event

    async def _verdict_of(self, decision: ApprovalDecision) -> AllowedCall | RefusedCall:
        name, approval_id = model_name(decision.server_label, decision.name), decision.approval_id
        call, tool = ToolCall(id=approval_id, name=name, arguments=decision.arguments), self._context.toolset.server_tools.get(name)
        if tool is None:
            return RefusedCall(call, None, f"There is no tool {name} any more.", approval_id)
        await self._audit(call, tool, "approved" if decision.approved else "denied")
        if not decision.approved:
            return RefusedCall(call, tool, f"{NOT_APPROVED} {decision.reason}" if decision.reason else NOT_APPROVED, approval_id)
        if (reason := self._budget.refusal(call)) is not None:
            return RefusedCall(call, tool, reason, approval_id)
        arguments = await checked_arguments(call, tool)
        if isinstance(arguments, str):
            return RefusedCall(call, tool, f"Not called: {arguments}", approval_id)
        self._budget.calls += 1
        return AllowedCall(call, tool, arguments, approval_id)

    async def _audit(self, call: ToolCall, tool: ServerTool, decision: str) -> None:
        arguments = await checked_arguments(call, tool)
        known = {} if isinstance(arguments, str) else arguments
        audit.log_decision(tool.server_label, tool.definition.name, known, self._context.caller.owner, decision)

    async def _run_tools(self, verdicts: Sequence[Verdict], message: Assistant) -> AsyncGenerator[Event]:
        """Appends `message`, with those of its calls that have a result, and the results to the conversation."""
        if not verdicts:
            return
        context, results = self._context, dict[str, str]()
        runner = ToolRunner(context.runtime.tool_host, context.caller.owner, context.runtime.tokenizer, self._budget, results)
        async with aclosing(runner.run(verdicts)) as events:
            async for event in events:
                yield event
        done = tuple(call for call in message.tool_calls if call.id in results)
        self._messages.append(replace(message, tool_calls=done))
        for call in done:
            result = ToolResult(call_id=call.id, name=call.name, text=results[call.id])
            self._messages.append(await with_shown_images(context.runtime, result, runner.images.get(call.id, ())))

    def _finished(self, reason: Reason) -> AnswerFinished:
        usage = Usage(prompt=self._prompt_tokens, completion=self._completion_tokens, cached=self._cached_tokens)
        full = reason == "length" and self._context_full
        return AnswerFinished(reason=reason, usage=usage, reasoning_tokens=self._reasoning_tokens, context_full=full)
