"""Builds one choice of a chat completion from the events of the chat loop: the delta of each stream chunk, and the whole message."""

from dataclasses import dataclass, field
from typing import Literal

from server.api.chat_completions import tool_types as tools
from server.api.chat_completions import types as wire
from server.api.common.search.citations import to_file_citation
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
)
from server.core.messages import Json

TURN_SEPARATOR = "\n\n"  # between the texts of two turns
FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(slots=True)
class ChoiceBuilder:
    """The message as far as it is known."""

    content: str = ""
    reasoning: str = ""
    logprobs: list[LoggedToken] = field(default_factory=list[LoggedToken])
    tokens: list[int] = field(default_factory=list[int])
    annotations: list[FileCitation] = field(default_factory=list[FileCitation])
    tool_calls: dict[str, ToolCallDelta] = field(default_factory=dict[str, ToolCallDelta])  # for the client; id -> joined deltas
    mcp_calls: dict[str, tools.McpCall] = field(default_factory=dict[str, tools.McpCall])
    approval_requests: list[tools.McpApprovalRequest] = field(default_factory=list[tools.McpApprovalRequest])
    finished: AnswerFinished | None = None
    _turn_start: int = 0  # characters of the content before this turn
    _turn_ended: bool = False

    def push(self, event: Event) -> Json:
        """Returns the delta of the stream chunk for this event; {} where there is none."""
        match event:
            case OutputDelta():
                return self._add_output(event)
            case CitationsAdded(citations=citations):
                new = [to_file_citation(citation, self._turn_start) for citation in citations]
                self.annotations += new
                return {"annotations": [citation.model_dump() for citation in new]}
            case ToolCallStarted():
                call = tools.McpCall(
                    id=event.call_id,
                    server_label=event.server_label,
                    name=event.name,
                    arguments=event.arguments,
                    approval_request_id=event.approval_id,
                )
                return self._add_mcp_call(call)
            case ToolCallFinished():
                return self._add_mcp_call(_to_mcp_call(event))
            case ApprovalRequested():
                request = tools.McpApprovalRequest(
                    id=f"mcpr_{event.call_id}", server_label=event.server_label, name=event.name, arguments=event.arguments
                )
                self.approval_requests.append(request)
                return {"mcp_approval_requests": [{"index": len(self.approval_requests) - 1, **request.model_dump()}]}
            case AnswerFinished():
                self.finished = event
            case _:
                pass
        return {}

    @property
    def finish_reason(self) -> FinishReason:
        """An answer that waits for approvals has "stop": chat completions have no reason of their own for it."""
        assert self.finished is not None  # AnswerFinished is the last event
        return "stop" if self.finished.reason == "approval" else self.finished.reason

    def message(self) -> wire.ResponseMessage:
        calls = [tools.ToolCall(id=c.id, function=tools.FunctionCall(name=c.name, arguments=c.arguments)) for c in self.tool_calls.values()]
        has_others = bool(calls or self.approval_requests or self.reasoning)
        return wire.ResponseMessage(
            content=None if has_others and not self.content.strip() else self.content,
            reasoning_content=self.reasoning or None,
            reasoning=self.reasoning or None,
            annotations=[*self.annotations],
            tool_calls=calls or None,
            mcp_calls=list(self.mcp_calls.values()) or None,
            mcp_approval_requests=self.approval_requests or None,
        )

    def _add_output(self, output: OutputDelta) -> Json:
        delta: Json = {}
        if output.reasoning:
            delta["reasoning_content"] = delta["reasoning"] = output.reasoning
            self.reasoning += output.reasoning
        if output.text:
            delta["content"] = text = self._separate_turns(output.text)
            self.content += text
        client_calls = [call for call in output.tool_calls if call.server_label is None]
        if calls := [call_delta for call in client_calls if (call_delta := self._add_tool_call(call))]:
            delta["tool_calls"] = calls
        self.logprobs += output.logprobs
        self.tokens += output.tokens
        self._turn_ended = output.finish is not None
        return delta

    def _separate_turns(self, text: str) -> str:
        """Puts the separator before the first text of a later turn."""
        if not self._turn_ended:
            return text
        separator = TURN_SEPARATOR if self.content.strip() else ""
        self._turn_start = len(self.content) + len(separator)
        return separator + text

    def _add_tool_call(self, delta: ToolCallDelta) -> Json | None:
        if delta.begun:
            self.tool_calls[delta.id] = delta
            function = {"name": delta.name, "arguments": delta.arguments}
            return {"index": len(self.tool_calls) - 1, "id": delta.id, "type": "function", "function": function}
        if not delta.arguments:
            return None
        before = self.tool_calls[delta.id]
        self.tool_calls[delta.id] = ToolCallDelta(id=before.id, name=before.name, arguments=before.arguments + delta.arguments)
        return {"index": list(self.tool_calls).index(delta.id), "function": {"arguments": delta.arguments}}

    def _add_mcp_call(self, call: tools.McpCall) -> Json:
        known = call.id in self.mcp_calls
        self.mcp_calls[call.id] = call
        fields = call.model_dump(include={"id", "output", "error"} if known else None)
        return {"mcp_calls": [{"index": list(self.mcp_calls).index(call.id), **fields}]}


def _to_mcp_call(event: ToolCallFinished) -> tools.McpCall:
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
