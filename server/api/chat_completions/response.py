"""One answer of a chat completion: events in, what a stream tells of each out; in the end the whole message."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from retrieval.api import Hit
from server.api.chat_completions import tool_types as tools
from server.api.chat_completions import types as wire
from server.api.common.citations import to_file_citation
from server.api.common.filters import clamped_score
from server.api.common.types import FileCitation
from server.core.events import (
    AnswerFinished,
    ApprovalRequested,
    CitationsAdded,
    Event,
    LoggedToken,
    OutputDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolListingFinished,
)
from server.core.messages import Json

SEAM = "\n\n"  # between what two turns have said
Finish = Literal["stop", "length", "tool_calls"]


@dataclass(slots=True)
class ChatChoice:
    """The message so far."""

    content: str = ""
    reasoning: str = ""
    logprobs: list[LoggedToken] = field(default_factory=list[LoggedToken])
    annotations: list[FileCitation] = field(default_factory=list[FileCitation])
    tool_calls: dict[str, ToolCallDelta] = field(
        default_factory=dict[str, ToolCallDelta]
    )  # that the client runs, each as far as it is known
    mcp_calls: dict[str, tools.McpCall] = field(default_factory=dict[str, tools.McpCall])
    approval_requests: list[tools.McpApprovalRequest] = field(default_factory=list[tools.McpApprovalRequest])
    ended: AnswerFinished | None = None
    _turn: int = 0  # characters before this turn's
    _over: bool = False  # a turn has ended

    def push(self, event: Event) -> Json:
        """The delta of a chunk, {} where there is nothing to tell."""
        match event:
            case OutputDelta():
                return self._piece(event)
            case CitationsAdded(citations=citations):
                new = [to_file_citation(citation, self._turn) for citation in citations]
                self.annotations += new
                return {"annotations": [one.model_dump() for one in new]}
            case ToolCallStarted():
                call = tools.McpCall(
                    id=event.call_id,
                    server_label=event.server_label,
                    name=event.name,
                    arguments=event.arguments,
                    approval_request_id=event.approval_id,
                )
                return self._mcp(call)
            case ToolCallFinished():
                return self._mcp(_ran(event))
            case ApprovalRequested():
                request = tools.McpApprovalRequest(
                    id=f"mcpr_{event.call_id}", server_label=event.server_label, name=event.name, arguments=event.arguments
                )
                self.approval_requests.append(request)
                return {"mcp_approval_requests": [{"index": len(self.approval_requests) - 1, **request.model_dump()}]}
            case AnswerFinished():
                self.ended = event
            case _:
                pass
        return {}

    @property
    def finish(self) -> Finish:
        """An answer that waits for approvals has stopped: chat completions have no word of their own for it."""
        assert self.ended is not None  # it comes last
        return "stop" if self.ended.reason == "approval" else self.ended.reason

    def message(self) -> wire.ResponseMessage:
        calls = [tools.ToolCall(id=c.id, function=tools.FunctionCall(name=c.name, arguments=c.arguments)) for c in self.tool_calls.values()]
        called = bool(calls or self.approval_requests)
        return wire.ResponseMessage(
            content=None if called and not self.content.strip() else self.content,
            reasoning_content=self.reasoning or None,
            annotations=[*self.annotations],
            tool_calls=calls or None,
            mcp_calls=list(self.mcp_calls.values()) or None,
            mcp_approval_requests=self.approval_requests or None,
        )

    def _piece(self, piece: OutputDelta) -> Json:
        delta: Json = {}
        if piece.reasoning:
            delta["reasoning_content"] = piece.reasoning
            self.reasoning += piece.reasoning
        if piece.text:
            delta["content"] = said = self._joined(piece.text)
            self.content += said
        if piece.tool_calls and (calls := [told for one in piece.tool_calls if one.server_label is None and (told := self._call(one))]):
            delta["tool_calls"] = calls
        self.logprobs += piece.logprobs
        self._over = piece.finish is not None
        return delta

    def _joined(self, answer: str) -> str:
        """With a seam, where a new turn begins to speak."""
        if not self._over:
            return answer
        seam = SEAM if self.content.strip() else ""
        self._turn = len(self.content) + len(seam)
        return seam + answer

    def _call(self, delta: ToolCallDelta) -> Json | None:
        if delta.begun:
            self.tool_calls[delta.id] = delta
            function = {"name": delta.name, "arguments": delta.arguments}
            return {"index": len(self.tool_calls) - 1, "id": delta.id, "type": "function", "function": function}
        if not delta.arguments:
            return None
        before = self.tool_calls[delta.id]
        self.tool_calls[delta.id] = ToolCallDelta(id=before.id, name=before.name, arguments=before.arguments + delta.arguments)
        return {"index": list(self.tool_calls).index(delta.id), "function": {"arguments": delta.arguments}}

    def _mcp(self, call: tools.McpCall) -> Json:
        known = call.id in self.mcp_calls
        self.mcp_calls[call.id] = call
        told = call.model_dump(include={"id", "output", "error"} if known else None)
        return {"mcp_calls": [{"index": list(self.mcp_calls).index(call.id), **told}]}


def to_file_search_call(queries: Sequence[str], hits: Sequence[Hit] | None) -> wire.FileSearchCall:
    return wire.FileSearchCall(queries=list(queries), results=None if hits is None else [_result(hit) for hit in hits])


def to_mcp_list_tools(event: ToolListingFinished) -> tools.McpListTools:
    shown = [
        tools.ListedTool(
            name=tool.name,
            description=tool.description,
            input_schema=dict(tool.input_schema),
            annotations=None if tool.annotations is None else dict(tool.annotations),
        )
        for tool in event.tools
    ]
    return tools.McpListTools(server_label=event.server_label, tools=shown, error=event.error)


def _ran(event: ToolCallFinished) -> tools.McpCall:
    fault = event.outcome.fault
    return tools.McpCall(
        id=event.call_id,
        server_label=event.server_label,
        name=event.name,
        arguments=event.arguments,
        output=None if fault else event.outcome.text,
        error=tools.McpError(type=fault.kind, message=event.outcome.text or fault.message, code=fault.code) if fault else None,
        approval_request_id=event.approval_id,
    )


def _result(hit: Hit) -> wire.FileSearchResult:
    chunk = hit.chunk
    return wire.FileSearchResult(
        file_id=chunk.file_id,
        filename=chunk.filename,
        score=clamped_score(hit),
        text=chunk.text,
        attributes=hit.attributes,
        chunk_id=chunk.id,
        vector_store_id=chunk.store_id,
        page=chunk.page,
        headings=list(chunk.headings),
        start=chunk.start,
        end=chunk.end,
    )
