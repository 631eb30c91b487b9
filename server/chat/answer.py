"""One of a wish's answers: turns of the model and, between them, the tools that it calls."""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from engine.api import Usage
from retrieval.marks import Part, spelled
from server.chat.call_tracker import Calls
from server.chat.grounding.grounding import SILENCE, Grounds, Reciter
from server.chat.output_parser import pieces
from server.chat.tools.runner import Go, Ledger, Refused, Runner, Verdict, Wait, arguments_of, clipped, judged
from server.chat.tools.toolset import Hosted, Offer, Toolbox, visible
from server.chat.turn import OVERFLOW, Turn, fitting
from server.core.errors import ApiError
from server.core.events import Cited, Ended, Event, Piece
from server.core.messages import Assistant, Saying, ToolCall, ToolResult
from server.core.request import Caller, Pending, Wish
from server.core.timing import Watch
from server.mcp import audit
from server.runtime.runtime import Served

Reason = Literal["stop", "length", "tool_calls", "approval"]
LEAST = 64  # tokens of a tool's output that are left of it at least, where the context is too small
DENIED = "The user has not approved this call."


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What all answers have in common."""

    served: Served
    wish: Wish
    caller: Caller
    sayings: Sequence[Saying]
    toolbox: Toolbox
    opening: Turn | None = None  # the first turn, where it has been made already
    grounds: Grounds | None = None
    spent: float = 0.0  # seconds, on the first turn


@dataclass(slots=True)
class Spoken:
    """What a turn has brought."""

    text: str = ""
    thought: str = ""
    end: Literal["stop", "length"] = "stop"


class Answer:
    def __init__(self, scene: Scene, index: int, watch: Watch, ledger: Ledger) -> None:
        self._scene, self._index, self._watch, self._ledger = scene, index, watch, ledger
        self._sayings = list(scene.sayings)
        self._given = len(self._sayings)  # what comes behind is from this request
        self._turns = self._prompt = self._completion = self._cached = self._thoughts = 0
        self._last = 0  # tokens of the last turn
        self._busy = scene.spent if scene.opening else 0.0  # seconds of this turn that were neither generation nor tools

    async def events(self) -> AsyncGenerator[Event]:
        scene = self._scene
        if scene.wish.pending:
            async with aclosing(self._decided(scene.wish.pending)) as decided:
                async for event in decided:
                    yield event
        while True:
            began = time.perf_counter()
            if (now := await self._turn()) is None:
                yield self._ended("length")
                return
            calls, spoken = now.calls(scene.served.text, self._most), Spoken()
            self._busy += time.perf_counter() - began
            async with aclosing(self._speaking(now, calls, spoken)) as speaking:
                async for event in speaking:
                    yield event
            made = self._whole(calls.made if calls else [], spoken, now)
            if not made:
                self._watch.turn(self._busy)
                yield self._ended(spoken.end)
                return
            async with aclosing(self._calling(made, spoken)) as calling:
                async for event in calling:
                    yield event
                    if isinstance(event, Ended):
                        return

    @property
    def _most(self) -> int | None:
        """Calls of a turn. Those that the client runs are its own business."""
        return self._ledger.limits.parallel if self._scene.toolbox.hosted else None

    def _whole(self, made: Sequence[ToolCall], spoken: Spoken, now: Turn) -> Sequence[ToolCall]:
        """The calls that can be made. One that the engine has brought to its end because it went in circles is as if it had not been
        made, unless it is the only one. Where it could not, no more than where the tokens have run out."""
        if spoken.end == "stop":
            return made
        if self._last >= now.left or (made and not _complete(made[-1])):
            return []
        ours = all(call.name in self._scene.toolbox.hosted for call in made)
        return (made[:-1] or made) if ours else made

    async def _turn(self) -> Turn | None:
        """The next one. None: the context is full, or all tokens have been written."""
        scene, first = self._scene, self._turns == 0
        self._turns += 1
        if first and scene.opening is not None:
            return scene.opening
        left = None if scene.wish.limit is None else scene.wish.limit - self._completion
        if left is not None and left <= 0:
            return None
        while True:
            try:
                kept, now = await fitting(scene.served, scene.wish, self._sayings, self._offer(), left)
                self._given -= len(self._sayings) - len(kept)
                self._sayings = list(kept)
                return now
            except ApiError as error:
                if error.code != OVERFLOW or len(self._sayings) == self._given:
                    raise
                if not self._shrink():
                    return None

    def _offer(self) -> Offer:
        scene, ledger = self._scene, self._ledger
        if ledger.over or ledger.left <= 0 or self._turns > ledger.limits.turns:
            return Offer()
        again = len(self._sayings) > self._given  # this request has had its call
        forced = scene.wish.choice not in ("auto", "none")
        return scene.toolbox.offer("auto" if again and forced else scene.wish.choice)

    def _shrink(self) -> bool:
        """Halves this request's tool outputs. False: they are as short as they may be."""
        text, changed = self._scene.served.text, False
        for at, said in enumerate(self._sayings[self._given :], self._given):
            if isinstance(said, ToolResult):
                most = max(LEAST, len(text.encode(said.text)) // 2)
                shorter, cut = clipped(text, said.text, most)
                if cut and len(shorter) < len(said.text):
                    self._sayings[at], changed = replace(said, text=shorter), True
        return changed

    async def _speaking(self, now: Turn, calls: Calls | None, spoken: Spoken) -> AsyncGenerator[Event]:
        scene, grounds = self._scene, self._scene.grounds
        text, formed = scene.served.text, scene.wish.form is not None
        silent = grounds is not None and not grounds.hits and not formed
        engine = Reciter(text, SILENCE) if silent else scene.served.engine
        request = now.request(scene.served, scene.wish, self._index)
        citing = grounds.citing if grounds else None
        marks = grounds.marks if grounds and not formed else None  # what looks like a mark in an answer with a form is none
        reader = now.reader(text, request, scene.wish, calls, grounds)
        async with aclosing(pieces(engine, request, reader, self._watch)) as arriving:
            async for piece in arriving:
                said: list[Part] = [piece.answer]
                if marks is not None:
                    said = marks.push(piece.answer, last=piece.end is not None or bool(piece.calls))
                    piece.answer = spelled(said)
                if calls is not None:
                    spoken.text += piece.answer
                    spoken.thought += piece.thought
                if not piece.empty:
                    yield piece
                if citing and (cited := await citing.push(said, last=piece.end is not None)):
                    yield Cited(citations=cited)
                if piece.end:
                    spoken.end = piece.end
                    self._count(piece)

    def _count(self, last: Piece) -> None:
        assert last.usage is not None  # `pieces` ends with it
        self._prompt += last.usage.prompt
        self._completion += last.usage.completion
        self._last = last.usage.completion
        self._cached += last.usage.cached
        self._thoughts += last.thought_tokens

    async def _calling(self, made: Sequence[ToolCall], spoken: Spoken) -> AsyncGenerator[Event]:
        """Ended, where the client has to do something now."""
        began = time.perf_counter()
        mine = {tool.name for tool in self._scene.toolbox.client}
        theirs, ours = [c for c in made if c.name in mine], [c for c in made if c.name not in mine]
        verdicts = await judged(ours, self._scene.toolbox, self._ledger)
        waiting = [verdict for verdict in verdicts if isinstance(verdict, Wait)]
        self._watch.turn(self._busy + time.perf_counter() - began)
        self._busy = 0.0
        said = Assistant(text=spoken.text, thought=spoken.thought, calls=tuple(ours))
        async with aclosing(self._run(verdicts, said)) as running:
            async for event in running:
                yield event
        for wait in waiting:
            await self._note(wait.call, wait.hosted, "asked")
            yield wait.event()
        if theirs or waiting:
            yield self._ended("tool_calls" if theirs else "approval")

    async def _decided(self, pending: Sequence[Pending]) -> AsyncGenerator[Event]:
        """Runs what has been approved since the model asked for it."""
        verdicts = [await self._verdict(one) for one in pending]
        async with aclosing(self._run(verdicts, Assistant(calls=tuple(verdict.call for verdict in verdicts)))) as running:
            async for event in running:
                yield event

    async def _verdict(self, one: Pending) -> Go | Refused:
        name = visible(one.label, one.name)
        call, hosted = ToolCall(id=one.request_id, name=name, arguments=one.arguments), self._scene.toolbox.hosted.get(name)
        if hosted is None:
            return Refused(call, None, f"There is no tool {name} any more.", one.request_id)
        await self._note(call, hosted, "approved" if one.approved else "denied")
        if not one.approved:
            return Refused(call, hosted, f"{DENIED} {one.reason}" if one.reason else DENIED, one.request_id)
        if (why := self._ledger.spent(call)) is not None:
            return Refused(call, hosted, why, one.request_id)
        arguments = await arguments_of(call, hosted)
        if isinstance(arguments, str):
            return Refused(call, hosted, f"Not called: {arguments}", one.request_id)
        self._ledger.calls += 1
        return Go(call, hosted, arguments, one.request_id)

    async def _note(self, call: ToolCall, hosted: Hosted, decision: str) -> None:
        arguments = await arguments_of(call, hosted)
        known = {} if isinstance(arguments, str) else arguments
        audit.decided(hosted.label, hosted.tool.name, known, self._scene.caller.owner, decision)

    async def _run(self, verdicts: Sequence[Verdict], said: Assistant) -> AsyncGenerator[Event]:
        """What the tools said becomes part of the conversation."""
        if not verdicts:
            return
        scene, results = self._scene, dict[str, str]()
        runner = Runner(scene.served.host, scene.caller.owner, scene.served.text, self._ledger, results)
        async with aclosing(runner.run(verdicts)) as running:
            async for event in running:
                yield event
        done = tuple(call for call in said.calls if call.id in results)
        told = (ToolResult(call=call.id, name=call.name, text=results[call.id]) for call in done)
        self._sayings += [replace(said, calls=done), *told]

    def _ended(self, reason: Reason) -> Ended:
        usage = Usage(prompt=self._prompt, completion=self._completion, cached=self._cached)
        return Ended(reason=reason, usage=usage, thought_tokens=self._thoughts)


def _complete(call: ToolCall) -> bool:
    try:
        json.loads(call.arguments)
    except (ValueError, RecursionError):
        return False
    return True
