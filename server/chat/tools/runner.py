"""Server tools are called: within the request's limits, with arguments that fit, and only what may run unasked."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from server.chat.tools import approval_policy
from server.chat.tools.toolset import ServerTool, Toolset, parse_arguments
from server.core.events import ApprovalRequested, ToolCallFinished, ToolCallStarted
from server.core.messages import Json, ToolCall
from server.core.request import ToolLimits
from server.core.threads import LARGE, in_thread_if_large
from server.core.tool_host import ToolFault, ToolHost, ToolHostError, ToolOutcome
from server.text.tokenizer import ChatTokenizer

SAMPLE_CHARACTERS_PER_TOKEN = 8  # characters for each token that may be kept
CANCEL_TIMEOUT = 1.0  # seconds that calls which are cancelled may take to let go


@dataclass(slots=True)
class ToolBudget:
    """What a request has used of its limits."""

    limits: ToolLimits
    untrusted_context: bool  # the model has read what may not be trusted
    calls: int = 0
    seconds: float = 0.0
    exhausted: bool = False  # the model shall answer now, without tools
    repeats: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def count(self, call: ToolCall) -> int:
        """How often there has been this call, now included."""
        key = (call.name, _canonical(call.arguments))
        self.repeats[key] += 1
        return self.repeats[key]

    def refusal(self, call: ToolCall) -> str | None:
        """Counts the call. Why it may not run, and no other either: the limits are reached. None: they are not."""
        if self.count(call) >= self.limits.max_repeats:
            self.exhausted = True
            return "Skipped: the same call has been made before. Answer with what you know."
        if self.calls >= self.limits.max_calls:
            self.exhausted = True
            return f"Skipped: the limit of {self.limits.max_calls} calls is reached. Answer with what you know."
        return None

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.limits.max_seconds - self.seconds)


@dataclass(frozen=True, slots=True)
class AllowedCall:
    """It may run. `approval`: id of the request by which it was approved."""

    call: ToolCall
    tool: ServerTool
    arguments: Json
    approval_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """It does not run; the model reads why."""

    call: ToolCall
    tool: ServerTool | None  # None: there is no such tool
    reason: str
    approval_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnapprovedCall:
    """It needs an approval."""

    call: ToolCall
    tool: ServerTool

    def event(self) -> ApprovalRequested:
        label, name = self.tool.server_label, self.tool.tool.name
        return ApprovalRequested(call_id=self.call.id, server_label=label, name=name, arguments=self.call.arguments)


Verdict = AllowedCall | RefusedCall | UnapprovedCall


async def decide_calls(calls: Sequence[ToolCall], toolbox: Toolset, ledger: ToolBudget) -> list[Verdict]:
    """Of one turn's calls of server tools. All of them were made before the output of any was read."""
    return [await _judged(at, call, toolbox, ledger) for at, call in enumerate(calls)]


async def _judged(at: int, call: ToolCall, toolbox: Toolset, ledger: ToolBudget) -> Verdict:
    limits = ledger.limits
    if (hosted := toolbox.server_tools.get(call.name)) is None:
        return RefusedCall(call, None, f"There is no tool {call.name}. There are: {', '.join(tool.name for tool in toolbox.tools)}")
    if at >= limits.max_parallel_calls:
        return RefusedCall(call, hosted, f"Skipped: no more than {limits.max_parallel_calls} calls at a time.")
    if (why := ledger.refusal(call)) is not None:
        return RefusedCall(call, hosted, why)
    arguments = await checked_arguments(call, hosted)
    if isinstance(arguments, str):
        return RefusedCall(call, hosted, f"Not called: {arguments}")
    if approval_policy.needs_approval(hosted.tool, hosted.policy, tainted=ledger.untrusted_context):
        return UnapprovedCall(call, hosted)
    ledger.calls += 1
    return AllowedCall(call, hosted, arguments)


async def checked_arguments(call: ToolCall, hosted: ServerTool) -> Json | str:
    """Those that fit, or what is wrong with them, in words for the model."""
    return await in_thread_if_large(len(call.arguments), parse_arguments, call.arguments, hosted.tool.input_schema)


@dataclass(slots=True)
class ToolRunner:
    """Runs what may run. `results`: what the model reads of each call, by its id."""

    tool_host: ToolHost | None  # None: nothing runs
    owner: str
    tokenizer: ChatTokenizer
    budget: ToolBudget
    results: dict[str, str] = field(default_factory=dict[str, str])

    async def run(self, verdicts: Sequence[Verdict]) -> AsyncGenerator[ToolCallStarted | ToolCallFinished]:
        """Tools that only read run side by side, the others one after the other, each in its turn. Closing it cancels them."""
        for group in _groups(verdicts):
            if isinstance(group, RefusedCall):
                if (told := self._refused(group)) is not None:
                    yield told
                continue
            async with aclosing(self._together(group)) as together:
                async for event in together:
                    yield event

    async def _together(self, group: Sequence[AllowedCall]) -> AsyncGenerator[ToolCallStarted | ToolCallFinished]:
        for go in group:
            yield ToolCallStarted(
                call_id=go.call.id,
                server_label=go.tool.server_label,
                name=go.tool.tool.name,
                arguments=go.call.arguments,
                approval_id=go.approval_id,
            )
        began, tasks = time.monotonic(), {asyncio.create_task(self._called(go)): go for go in group}
        try:
            waiting = set(tasks)
            while waiting:
                left = self.budget.seconds_left - (time.monotonic() - began)
                done, waiting = await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in tasks if task in done]:
                    yield self._ran(tasks[task], task.result())
                if not done:
                    break
            self.budget.exhausted = self.budget.exhausted or bool(waiting)
            for task in [task for task in tasks if task in waiting]:
                yield self._ran(tasks[task], self._too_late())
        finally:
            self.budget.seconds += time.monotonic() - began
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)

    async def _called(self, go: AllowedCall) -> ToolOutcome:
        began = time.monotonic()
        assert self.tool_host is not None  # there are no hosted tools without
        try:
            return await self.tool_host.call(go.tool.server_label, go.tool.tool.name, go.arguments, owner=self.owner)
        except ToolHostError as error:
            fault = ToolFault(kind="unavailable", message=str(error))
            return ToolOutcome(text=str(error), fault=fault, seconds=time.monotonic() - began)

    def _ran(self, go: AllowedCall, outcome: ToolOutcome) -> ToolCallFinished:
        self.budget.untrusted_context = True
        shown, cut = clip_output(self.tokenizer, outcome.text, self.budget.limits.max_output_tokens)
        self.results[go.call.id] = shown
        outcome = replace(outcome, text=shown, truncated=True) if cut else outcome
        label, name = go.tool.server_label, go.tool.tool.name
        return ToolCallFinished(
            call_id=go.call.id, server_label=label, name=name, arguments=go.call.arguments, outcome=outcome, approval_id=go.approval_id
        )

    def _refused(self, refused: RefusedCall) -> ToolCallFinished | None:
        call, hosted = refused.call, refused.tool
        self.results[call.id] = refused.reason
        if hosted is None:
            return None
        outcome = ToolOutcome(text=refused.reason, fault=ToolFault(kind="execution", message=refused.reason))
        label, name = hosted.server_label, hosted.tool.name
        return ToolCallFinished(
            call_id=call.id, server_label=label, name=name, arguments=call.arguments, outcome=outcome, approval_id=refused.approval_id
        )

    def _too_late(self) -> ToolOutcome:
        why = f"Cancelled: this request's tools may take {self.budget.limits.max_seconds:g} seconds in all."
        return ToolOutcome(text=why, fault=ToolFault(kind="timeout", message=why), seconds=self.budget.limits.max_seconds)


def clip_output(text: ChatTokenizer, output: str, most: int) -> tuple[str, bool]:
    """At most so many tokens of it, its beginning and its end, and whether any are missing."""
    if len(output) <= most:  # a token has one character at least, or nearly
        return output, False
    sample = (
        output
        if len(output) <= SAMPLE_CHARACTERS_PER_TOKEN * most
        else output[: SAMPLE_CHARACTERS_PER_TOKEN // 2 * most] + output[-(SAMPLE_CHARACTERS_PER_TOKEN // 2) * most :]
    )
    count = len(text.encode(sample)) * len(output) / len(sample)  # of a long output only what may be kept is tokenized
    if count <= most:
        return output, False
    keep = int(len(output) * most / count * 0.95)
    head, tail = output[: keep * 2 // 3], output[len(output) - keep // 3 :]
    return f"{head}\n[... {len(output) - len(head) - len(tail)} characters left out ...]\n{tail}", True


def _groups(verdicts: Sequence[Verdict]) -> list[RefusedCall | list[AllowedCall]]:
    groups: list[RefusedCall | list[AllowedCall]] = []
    for verdict in verdicts:
        last = groups[-1] if groups else None
        match verdict:
            case RefusedCall():
                groups.append(verdict)
            case AllowedCall() if isinstance(last, list) and last[-1].tool.tool.read_only and verdict.tool.tool.read_only:
                last.append(verdict)
            case AllowedCall():
                groups.append([verdict])
            case UnapprovedCall():
                pass
    return groups


def _canonical(arguments: str) -> str:
    """However it is spelled; but what is so large that reading it takes time stays as it is."""
    if len(arguments) > LARGE:
        return arguments
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
