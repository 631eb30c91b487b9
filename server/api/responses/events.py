"""What happens while a wish is fulfilled (server/core/events.py), as output items and their events.

A call of a server tool is told when it runs, not while it is written: only then is it known whether it runs, or is a request for
an approval."""

import json
from collections.abc import Sequence
from typing import Literal

from retrieval.api import Hit
from server.api.common.citations import annotation
from server.api.common.filters import shown_score
from server.api.common.logprobs import chat_logprobs
from server.api.responses.output import CLOSED, FunctionCall, Item, Message, Record, Thoughts
from server.core.events import (
    AnswerFinished,
    ApprovalRequested,
    CitationsAdded,
    Event,
    LoggedToken,
    OutputDelta,
    SearchFinished,
    SearchStarted,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolListingFinished,
    ToolListingStarted,
)
from server.core.messages import Json
from server.core.tool_host import HostedTool, ToolFault
from server.text.tokenizer import ChatTokenizer

TIMEOUT, INTERNAL = -32001, -32603  # codes of JSON-RPC, as MCP uses them
BAD_GATEWAY = 502


class EventEmitter:
    def __init__(self, record: Record, text: ChatTokenizer, *, logprobs: bool, summary: bool) -> None:
        """`summary`: thoughts are told as a summary too."""
        self._record, self._text, self._logprobs, self._summary = record, text, logprobs, summary
        self._message: Message | None = None
        self._thoughts: Thoughts | None = None
        self._functions: dict[str, FunctionCall] = {}
        self._running: dict[str, Item] = {}
        self._searching: Item | None = None
        self._listing: dict[str, Item] = {}
        self._end: Literal["stop", "length"] | None = None  # of the turn that has been heard to its end
        self._blank = ""  # white space that no message has begun with yet
        self._late: list[ToolCallDelta] = []  # of a turn whose words are cited; they come behind the citations, which its end brings
        self._cites = self._spoke = False
        self.ended: AnswerFinished | None = None

    def hear(self, event: Event) -> list[Json]:
        if self._end is not None and not isinstance(event, CitationsAdded):
            self._calls(self._late)
        match event:
            case OutputDelta():
                self._piece(event)
            case CitationsAdded():
                self._cite(event)
            case AnswerFinished():
                self._finish(event)
            case _:
                self._beside(event)
        return self._record.take()

    def _beside(
        self,
        event: SearchStarted
        | SearchFinished
        | ToolListingStarted
        | ToolListingFinished
        | ToolCallStarted
        | ToolCallFinished
        | ApprovalRequested,
    ) -> None:
        """What happens before or between the turns."""
        self._close()
        match event:
            case SearchStarted():
                self._search()
            case SearchFinished():
                self._searched(event)
            case ToolListingStarted():
                self._list(event.label)
            case ToolListingFinished():
                self._listed(event)
            case ToolCallStarted():
                self._run(event)
            case ToolCallFinished():
                self._ran(event)
            case ApprovalRequested():
                self._ask(event)

    def _piece(self, piece: OutputDelta) -> None:
        if self._end is not None:
            self._close()
            self._end, self._spoke, self._blank = None, False, ""
        if piece.reasoning:
            self._think(piece.reasoning)
        if piece.text:
            self._say(piece.text, piece.logprobs)
        self._end = piece.finish
        self._spoke = self._spoke or bool(piece.tool_calls)
        if self._cites:
            self._late += piece.tool_calls
        else:
            self._calls(piece.tool_calls)

    def _think(self, thought: str) -> None:
        if self._thoughts is None:
            self._close()
            self._thoughts = Thoughts(self._record, summary=self._summary)
        self._thoughts.think(thought)

    def _say(self, answer: str, logged: Sequence[LoggedToken]) -> None:
        """White space alone begins no message: there may be nothing but calls behind it."""
        if self._message is None and not answer.strip():
            self._blank += answer
            return
        logprobs = [entry.model_dump() for entry in chat_logprobs(self._text, logged)] if self._logprobs else []
        said, self._blank = self._blank + answer, ""
        self._opened().say(said, logprobs)

    def _opened(self) -> Message:
        if self._message is None:
            self._close()
            self._message, self._spoke = Message(self._record), True
        return self._message

    def _calls(self, deltas: Sequence[ToolCallDelta]) -> None:
        self._late = []
        for delta in deltas:
            if delta.server_label is None:
                self._function(delta)

    def _function(self, delta: ToolCallDelta) -> None:
        if delta.begun:
            self._close()
            self._functions[delta.id] = FunctionCall(self._record, delta.id, delta.name)
        call = self._functions[delta.id]
        if delta.arguments:
            call.write(delta.arguments)
        if delta.done:
            cut = self._end == "length" and not _is_json(call.arguments)
            call.end("incomplete" if cut else "completed")

    def _close(self) -> None:
        """Words or thoughts that are going on; nothing follows them."""
        status = "incomplete" if self._end == "length" else "completed"
        message, thoughts, self._message, self._thoughts = self._message, self._thoughts, None, None
        if message is not None:
            message.end(status)
        if thoughts is not None:
            thoughts.end(status)

    def _cite(self, cited: CitationsAdded) -> None:
        for citation in cited.citations:
            self._opened().annotate(annotation(citation).model_dump())

    def _search(self) -> None:
        self._searching = self._record.begin("file_search_call", status="in_progress", queries=[], results=None)
        self._searching.tell("file_search_call.in_progress")
        self._searching.tell("file_search_call.searching")

    def _searched(self, found: SearchFinished) -> None:
        assert self._searching is not None  # it is announced
        self._cites = bool(found.hits)
        self._searching.tell("file_search_call.completed")
        self._searching.end(status="completed", queries=list(found.queries), results=[result(hit) for hit in found.hits])

    def _list(self, label: str) -> None:
        item = self._listing[label] = self._record.begin("mcp_list_tools", server_label=label, tools=[], error=None)
        item.tell("mcp_list_tools.in_progress")

    def _listed(self, listed: ToolListingFinished) -> None:
        item = self._listing.pop(listed.label)
        item.tell("mcp_list_tools.failed" if listed.error else "mcp_list_tools.completed")
        item.end(tools=[_listed_tool(tool) for tool in listed.tools], error=listed.error)

    def _run(self, run: ToolCallStarted | ToolCallFinished) -> Item:
        item = self._record.begin(
            "mcp_call",
            server_label=run.label,
            name=run.name,
            arguments="",
            output=None,
            error=None,
            status="in_progress",
            approval_request_id=run.approval,
        )
        item.tell("mcp_call.in_progress")
        item.tell("mcp_call_arguments.delta", delta=run.arguments)
        item.tell("mcp_call_arguments.done", arguments=run.arguments)
        item.fields["arguments"] = run.arguments
        self._running[run.call] = item
        return item

    def _ran(self, ran: ToolCallFinished) -> None:
        item = self._running.pop(ran.call, None) or self._run(ran)
        self._running.pop(ran.call, None)
        outcome = ran.outcome
        item.tell("mcp_call.completed" if outcome.fault is None else "mcp_call.failed")
        if outcome.fault is None:
            item.end(status="completed", output=outcome.text)
        else:
            item.end(status="failed", error=error(outcome.fault))

    def _ask(self, asked: ApprovalRequested) -> None:
        fields = {"server_label": asked.label, "name": asked.name, "arguments": asked.arguments}
        self._record.begin("mcp_approval_request", **fields).end()

    def _finish(self, ended: AnswerFinished) -> None:
        if not self._spoke and self._thoughts is None and ended.reason == "stop":
            self._opened().say(self._blank, [])  # a model may have nothing to say
        self._close()
        self.ended = ended


def result(hit: Hit) -> Json:
    chunk = hit.chunk
    return {
        "file_id": chunk.file_id,
        "filename": chunk.filename,
        "score": shown_score(hit),
        "text": chunk.text,
        "attributes": dict(hit.attributes),
        "chunk_id": chunk.id,
        "vector_store_id": chunk.store_id,
        "page": chunk.page,
        "headings": list(chunk.headings),
        "start": chunk.start,
        "end": chunk.end,
    }


def error(fault: ToolFault) -> Json:
    match fault.kind:
        case "execution":
            return {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": fault.message}]}
        case "http":
            return {"type": "http_error", "code": fault.code or BAD_GATEWAY, "message": fault.message}
        case kind:
            code = {"timeout": TIMEOUT, "unavailable": CLOSED, "protocol": INTERNAL}[kind]
            return {"type": "mcp_protocol_error", "code": fault.code or code, "message": fault.message}


def _listed_tool(tool: HostedTool) -> Json:
    noted = None if tool.annotations is None else dict(tool.annotations)
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema), "annotations": noted}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
