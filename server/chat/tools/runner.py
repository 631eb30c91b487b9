"""Server tools are called: within the request's limits, with arguments that fit, and only what may run unasked."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from server.chat.tools import approval_policy
from server.chat.tools.toolset import Hosted, Toolbox, read_arguments
from server.core.events import Approval, Ran, Running
from server.core.messages import Json, ToolCall
from server.core.request import Limits
from server.core.threads import LARGE, offloaded
from server.core.tool_host import Fault, HostError, Outcome, ToolHost
from server.text.tokenizer import Text

SAMPLE = 8  # characters for each token that may be kept
PATIENCE = 1.0  # seconds that calls which are cancelled may take to let go


@dataclass(slots=True)
class Ledger:
    """What a request has used of its limits."""

    limits: Limits
    tainted: bool  # the model has read what may not be trusted
    calls: int = 0
    seconds: float = 0.0
    over: bool = False  # the model shall answer now, without tools
    seen: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def count(self, call: ToolCall) -> int:
        """How often there has been this call, now included."""
        key = (call.name, _canonical(call.arguments))
        self.seen[key] += 1
        return self.seen[key]

    def spent(self, call: ToolCall) -> str | None:
        """Counts the call. Why it may not run, and no other either: the limits are reached. None: they are not."""
        if self.count(call) >= self.limits.same:
            self.over = True
            return "Skipped: the same call has been made before. Answer with what you know."
        if self.calls >= self.limits.calls:
            self.over = True
            return f"Skipped: the limit of {self.limits.calls} calls is reached. Answer with what you know."
        return None

    @property
    def left(self) -> float:
        return max(0.0, self.limits.seconds - self.seconds)


@dataclass(frozen=True, slots=True)
class Go:
    """It may run. `approval`: id of the request by which it was approved."""

    call: ToolCall
    hosted: Hosted
    arguments: Json
    approval: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not run; the model reads why."""

    call: ToolCall
    hosted: Hosted | None  # None: there is no such tool
    why: str
    approval: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """It needs an approval."""

    call: ToolCall
    hosted: Hosted

    def event(self) -> Approval:
        label, name = self.hosted.label, self.hosted.tool.name
        return Approval(call=self.call.id, label=label, name=name, arguments=self.call.arguments)


Verdict = Go | Refused | Wait


async def judged(calls: Sequence[ToolCall], toolbox: Toolbox, ledger: Ledger) -> list[Verdict]:
    """Of one turn's calls of server tools. All of them were made before the output of any was read."""
    return [await _judged(at, call, toolbox, ledger) for at, call in enumerate(calls)]


async def _judged(at: int, call: ToolCall, toolbox: Toolbox, ledger: Ledger) -> Verdict:
    limits = ledger.limits
    if (hosted := toolbox.hosted.get(call.name)) is None:
        return Refused(call, None, f"There is no tool {call.name}. There are: {', '.join(tool.name for tool in toolbox.tools)}")
    if at >= limits.parallel:
        return Refused(call, hosted, f"Skipped: no more than {limits.parallel} calls at a time.")
    if (why := ledger.spent(call)) is not None:
        return Refused(call, hosted, why)
    arguments = await arguments_of(call, hosted)
    if isinstance(arguments, str):
        return Refused(call, hosted, f"Not called: {arguments}")
    if approval_policy.needed(hosted.tool, hosted.policy, tainted=ledger.tainted):
        return Wait(call, hosted)
    ledger.calls += 1
    return Go(call, hosted, arguments)


async def arguments_of(call: ToolCall, hosted: Hosted) -> Json | str:
    """Those that fit, or what is wrong with them, in words for the model."""
    return await offloaded(len(call.arguments), read_arguments, call.arguments, hosted.tool.input_schema)


@dataclass(slots=True)
class Runner:
    """Runs what may run. `results`: what the model reads of each call, by its id."""

    host: ToolHost | None  # None: nothing runs
    owner: str
    text: Text
    ledger: Ledger
    results: dict[str, str] = field(default_factory=dict[str, str])

    async def run(self, verdicts: Sequence[Verdict]) -> AsyncGenerator[Running | Ran]:
        """Tools that only read run side by side, the others one after the other, each in its turn. Closing it cancels them."""
        for group in _groups(verdicts):
            if isinstance(group, Refused):
                if (told := self._refused(group)) is not None:
                    yield told
                continue
            async with aclosing(self._together(group)) as together:
                async for event in together:
                    yield event

    async def _together(self, group: Sequence[Go]) -> AsyncGenerator[Running | Ran]:
        for go in group:
            yield Running(
                call=go.call.id, label=go.hosted.label, name=go.hosted.tool.name, arguments=go.call.arguments, approval=go.approval
            )
        began, tasks = time.monotonic(), {asyncio.create_task(self._called(go)): go for go in group}
        try:
            waiting = set(tasks)
            while waiting:
                left = self.ledger.left - (time.monotonic() - began)
                done, waiting = await asyncio.wait(waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in tasks if task in done]:
                    yield self._ran(tasks[task], task.result())
                if not done:
                    break
            self.ledger.over = self.ledger.over or bool(waiting)
            for task in [task for task in tasks if task in waiting]:
                yield self._ran(tasks[task], self._too_late())
        finally:
            self.ledger.seconds += time.monotonic() - began
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=PATIENCE)

    async def _called(self, go: Go) -> Outcome:
        began = time.monotonic()
        assert self.host is not None  # there are no hosted tools without
        try:
            return await self.host.call(go.hosted.label, go.hosted.tool.name, go.arguments, owner=self.owner)
        except HostError as error:
            fault = Fault(kind="unavailable", message=str(error))
            return Outcome(text=str(error), fault=fault, seconds=time.monotonic() - began)

    def _ran(self, go: Go, outcome: Outcome) -> Ran:
        self.ledger.tainted = True
        shown, cut = clipped(self.text, outcome.text, self.ledger.limits.output_tokens)
        self.results[go.call.id] = shown
        outcome = replace(outcome, text=shown, truncated=True) if cut else outcome
        label, name = go.hosted.label, go.hosted.tool.name
        return Ran(call=go.call.id, label=label, name=name, arguments=go.call.arguments, outcome=outcome, approval=go.approval)

    def _refused(self, refused: Refused) -> Ran | None:
        call, hosted = refused.call, refused.hosted
        self.results[call.id] = refused.why
        if hosted is None:
            return None
        outcome = Outcome(text=refused.why, fault=Fault(kind="execution", message=refused.why))
        label, name = hosted.label, hosted.tool.name
        return Ran(call=call.id, label=label, name=name, arguments=call.arguments, outcome=outcome, approval=refused.approval)

    def _too_late(self) -> Outcome:
        why = f"Cancelled: this request's tools may take {self.ledger.limits.seconds:g} seconds in all."
        return Outcome(text=why, fault=Fault(kind="timeout", message=why), seconds=self.ledger.limits.seconds)


def clipped(text: Text, output: str, most: int) -> tuple[str, bool]:
    """At most so many tokens of it, its beginning and its end, and whether any are missing."""
    if len(output) <= most:  # a token has one character at least, or nearly
        return output, False
    sample = output if len(output) <= SAMPLE * most else output[: SAMPLE // 2 * most] + output[-(SAMPLE // 2) * most :]
    count = len(text.encode(sample)) * len(output) / len(sample)  # of a long output only what may be kept is tokenized
    if count <= most:
        return output, False
    keep = int(len(output) * most / count * 0.95)
    head, tail = output[: keep * 2 // 3], output[len(output) - keep // 3 :]
    return f"{head}\n[... {len(output) - len(head) - len(tail)} characters left out ...]\n{tail}", True


def _groups(verdicts: Sequence[Verdict]) -> list[Refused | list[Go]]:
    groups: list[Refused | list[Go]] = []
    for verdict in verdicts:
        last = groups[-1] if groups else None
        match verdict:
            case Refused():
                groups.append(verdict)
            case Go() if isinstance(last, list) and last[-1].hosted.tool.read_only and verdict.hosted.tool.read_only:
                last.append(verdict)
            case Go():
                groups.append([verdict])
            case Wait():
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
