"""Running server tools, within the time that the request has left, and clipping their output."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from server.chat.tools.budget import ToolBudget
from server.chat.tools.decisions import AllowedCall, RefusedCall, UnapprovedCall, Verdict
from server.core.events import ToolCallFinished, ToolCallStarted
from server.core.tool_host import ToolFault, ToolHost, ToolHostError, ToolOutcome
from server.text.tokenizer import ChatTokenizer

SAMPLE_CHARACTERS_PER_TOKEN = 8  # a long output is tokenized only this far
CANCEL_TIMEOUT = 1.0  # seconds that cancelled calls may take to clean up


@dataclass(slots=True)
class ToolRunner:
    """Runs allowed calls. `results`: what the model is told of each call, by call id."""

    tool_host: ToolHost | None  # None: nothing runs
    owner: str
    tokenizer: ChatTokenizer
    budget: ToolBudget
    results: dict[str, str] = field(default_factory=dict[str, str])
    images: dict[str, tuple[bytes, ...]] = field(default_factory=dict[str, tuple[bytes, ...]])  # files that came with them

    async def run(self, verdicts: Sequence[Verdict]) -> AsyncGenerator[ToolCallStarted | ToolCallFinished]:
        """Adjacent calls of read-only tools run concurrently, all others alone, in order. Closing the generator cancels them."""
        for group in _groups(verdicts):
            if isinstance(group, RefusedCall):
                if (event := self._refused(group)) is not None:
                    yield event
                continue
            async with aclosing(self._run_group(group)) as events:
                async for event in events:
                    yield event

    async def _run_group(self, group: Sequence[AllowedCall]) -> AsyncGenerator[ToolCallStarted | ToolCallFinished]:
        for allowed in group:
            yield ToolCallStarted(
                call_id=allowed.call.id,
                server_label=allowed.tool.server_label,
                name=allowed.tool.definition.name,
                arguments=allowed.call.arguments,
                approval_id=allowed.approval_id,
            )
        began, tasks = time.monotonic(), {asyncio.create_task(self._call(allowed)): allowed for allowed in group}
        try:
            waiting = set(tasks)
            while waiting:
                left = self.budget.seconds_left - (time.monotonic() - began)
                done, waiting = await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in tasks if task in done]:
                    yield self._finished(tasks[task], task.result())
                if not done:
                    break
            self.budget.exhausted = self.budget.exhausted or bool(waiting)
            for task in [task for task in tasks if task in waiting]:
                yield self._finished(tasks[task], self._timed_out())
        finally:
            self.budget.seconds += time.monotonic() - began
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)

    async def _call(self, allowed: AllowedCall) -> ToolOutcome:
        began = time.monotonic()
        assert self.tool_host is not None  # otherwise there are no server tools
        try:
            return await self.tool_host.call(allowed.tool.server_label, allowed.tool.definition.name, allowed.arguments, owner=self.owner)
        except ToolHostError as error:
            fault = ToolFault(kind="unavailable", message=str(error))
            return ToolOutcome(text=str(error), fault=fault, seconds=time.monotonic() - began)

    def _finished(self, allowed: AllowedCall, outcome: ToolOutcome) -> ToolCallFinished:
        self.budget.untrusted_context = True
        clipped_text, clipped = clip_output(self.tokenizer, outcome.text, self.budget.limits.max_output_tokens)
        self.results[allowed.call.id], self.images[allowed.call.id] = clipped_text, outcome.images
        outcome = replace(outcome, text=clipped_text, truncated=True) if clipped else outcome
        label, name = allowed.tool.server_label, allowed.tool.definition.name
        return ToolCallFinished(
            call_id=allowed.call.id,
            server_label=label,
            name=name,
            arguments=allowed.call.arguments,
            outcome=outcome,
            approval_id=allowed.approval_id,
        )

    def _refused(self, refused: RefusedCall) -> ToolCallFinished | None:
        call, tool = refused.call, refused.tool
        self.results[call.id] = refused.reason
        if tool is None:
            return None
        outcome = ToolOutcome(text=refused.reason, fault=ToolFault(kind="execution", message=refused.reason))
        label, name = tool.server_label, tool.definition.name
        return ToolCallFinished(
            call_id=call.id, server_label=label, name=name, arguments=call.arguments, outcome=outcome, approval_id=refused.approval_id
        )

    def _timed_out(self) -> ToolOutcome:
        reason = f"Cancelled: this request's tools may take {self.budget.limits.max_seconds:g} seconds in all."
        return ToolOutcome(text=reason, fault=ToolFault(kind="timeout", message=reason), seconds=self.budget.limits.max_seconds)


def clip_output(tokenizer: ChatTokenizer, output: str, limit: int) -> tuple[str, bool]:
    """The beginning and the end of `output`, in about `limit` tokens, and whether anything is missing."""
    if len(output) <= limit:  # a token has at least about one character
        return output, False
    half = SAMPLE_CHARACTERS_PER_TOKEN // 2 * limit
    sample = output if len(output) <= 2 * half else output[:half] + output[-half:]
    count = len(tokenizer.encode(sample)) * len(output) / len(sample)
    if count <= limit:
        return output, False
    keep = int(len(output) * limit / count * 0.95)
    head, tail = output[: keep * 2 // 3], output[len(output) - keep // 3 :]
    return f"{head}\n[... {len(output) - len(head) - len(tail)} characters left out ...]\n{tail}", True


def _groups(verdicts: Sequence[Verdict]) -> list[RefusedCall | list[AllowedCall]]:
    """Calls that may run concurrently, in lists."""
    groups: list[RefusedCall | list[AllowedCall]] = []
    for verdict in verdicts:
        last = groups[-1] if groups else None
        match verdict:
            case RefusedCall():
                groups.append(verdict)
            case AllowedCall() if isinstance(last, list) and last[-1].tool.definition.read_only and verdict.tool.definition.read_only:
                last.append(verdict)
            case AllowedCall():
                groups.append([verdict])
            case UnapprovedCall():
                pass
    return groups
