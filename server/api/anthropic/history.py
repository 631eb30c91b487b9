"""Converts the messages of a request, which consist of content blocks, to core messages (server/core/messages.py)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.api.anthropic import content_types as wire
from server.api.anthropic.document_types import Part, asks_for_citations, part_of, parts_of
from server.api.anthropic.request_types import CountRequest
from server.api.anthropic.text_types import Text
from server.chat.tools.toolset import model_name
from server.core.errors import bad_request
from server.core.messages import Assistant, Image, Message, System, ToolCall, ToolResult, User, joined_parts
from server.core.request import RequestWarning

ERROR_PREFIX = "Error: "
_ModelBlock = wire.TextBlock | wire.ThinkingBlock | wire.RedactedThinkingBlock | wire.ToolUseBlock | wire.McpToolUseBlock


@dataclass
class ChatHistory:
    """Takes messages in order. Each tool call has exactly one result: in the user messages that follow for a client's tool, in the
    assistant's message itself for a server's. Methods raise ApiError for what violates this; `field` names the place ("messages.1")."""

    messages: list[Message] = field(default_factory=list[Message])
    is_begun: bool = False  # the last message is the beginning of the answer
    has_citations: bool = False  # an earlier answer quotes documents, which are untrusted
    warnings: list[RequestWarning] = field(default_factory=list[RequestWarning])
    server_calls: list[ToolCall] = field(default_factory=list[ToolCall])  # calls of server tools since the user's last text
    _tool_names: dict[str, str] = field(default_factory=dict[str, str])  # call id -> tool name
    _open_calls: dict[str, str] = field(default_factory=dict[str, str])  # calls without a result: call id -> field of the block

    def add_user(self, message: wire.UserMessage, field: str) -> None:
        if isinstance(message.content, str):
            self._add_user_parts([message.content])
            return
        parts: list[str | Image] = []
        for i, block in enumerate(message.content):
            if isinstance(block, wire.ToolResultBlock):
                self._add_user_parts(parts)
                parts = []
                self._add_result(block, f"{field}.content.{i}")
            else:
                self._note_citations(block, f"{field}.content.{i}")
                parts.append(part_of(block, f"{field}.content.{i}"))
        self._add_user_parts(parts)

    def add_assistant(self, message: wire.AssistantMessage, field: str) -> None:
        self.expect_results()
        if isinstance(message.content, str):
            self.messages.append(Assistant(text=message.content))
            return
        turn = _AssistantTurn()
        for i, block in enumerate(message.content):
            if isinstance(block, wire.McpToolResultBlock):
                self._add_turn(turn)
                turn = _AssistantTurn()
                self._add_result(block, f"{field}.content.{i}")
            else:
                self.has_citations = self.has_citations or (isinstance(block, wire.TextBlock) and bool(block.citations))
                call = turn.add(block)
                if call is not None:
                    self._register_call(call, f"{field}.content.{i}", on_server=isinstance(block, wire.McpToolUseBlock))
        self._add_turn(turn)

    def expect_results(self) -> None:
        """Raises ApiError if a tool call has no result yet."""
        for id, block_field in self._open_calls.items():
            raise bad_request(
                f"{block_field}.id",
                f"{block_field}.id: there is no result for the tool use {id!r}; answer it before the assistant speaks again",
            )

    def _note_citations(self, block: Part, field: str) -> None:
        if asks_for_citations(block):
            told = f"{field}.citations has no effect: only documents that file_search finds are cited"
            self.warnings.append(RequestWarning(param=f"{field}.citations", message=told))

    def _add_user_parts(self, parts: Sequence[str | Image]) -> None:
        if parts:
            text, images = joined_parts(parts)
            self.messages.append(User(text=text, images=images))
            self.server_calls.clear()

    def _add_turn(self, turn: "_AssistantTurn") -> None:
        if turn.texts or turn.reasoning or turn.tool_calls:
            text, reasoning = "".join(turn.texts), "\n".join(turn.reasoning)
            self.messages.append(Assistant(text=text, reasoning=reasoning, tool_calls=tuple(turn.tool_calls)))

    def _register_call(self, call: ToolCall, field: str, *, on_server: bool) -> None:
        if call.id in self._tool_names:
            raise bad_request(f"{field}.id", f"{field}.id: there is a tool use {call.id!r} already")
        self._tool_names[call.id], self._open_calls[call.id] = call.name, field
        if on_server:
            self.server_calls.append(call)

    def _add_result(self, block: wire.ToolResultBlock | wire.McpToolResultBlock, field: str) -> None:
        name = self._tool_names.get(block.tool_use_id)
        if name is None:
            raise bad_request(f"{field}.tool_use_id", f"{field}.tool_use_id: no tool was called as {block.tool_use_id!r} before")
        if self._open_calls.pop(block.tool_use_id, None) is None:
            raise bad_request(f"{field}.tool_use_id", f"{field}.tool_use_id: the tool use {block.tool_use_id!r} has its result already")
        text, images = joined_parts(parts_of(block.content, f"{field}.content"))
        text = (ERROR_PREFIX if block.is_error else "") + text
        self.messages.append(ToolResult(call_id=block.tool_use_id, name=name, text=text, images=images))


@dataclass
class _AssistantTurn:
    """The part of an assistant message up to the next result of a server tool: one turn of the model."""

    texts: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])

    def add(self, block: _ModelBlock) -> ToolCall | None:
        """Returns the tool call, if the block is one."""
        match block:
            case wire.TextBlock():
                self.texts.append(block.text)
            case wire.ThinkingBlock():
                self.reasoning.append(block.thinking)
            case wire.RedactedThinkingBlock():
                pass
            case wire.ToolUseBlock() | wire.McpToolUseBlock():
                name = block.name if isinstance(block, wire.ToolUseBlock) else model_name(block.server_name, block.name)
                self.tool_calls.append(ToolCall(id=block.id, name=name, arguments=json.dumps(block.input)))
                return self.tool_calls[-1]
        return None


def read_history(body: CountRequest) -> ChatHistory:
    """Raises ApiError for messages that do not fit together."""
    history = ChatHistory()
    if body.system:
        history.messages.append(System(text=plain_text(body.system)))
    for i, message in enumerate(body.messages):
        match message:
            case wire.UserMessage():
                history.add_user(message, f"messages.{i}")
            case wire.AssistantMessage():
                history.add_assistant(message, f"messages.{i}")
            case wire.SystemMessage():
                history.messages.append(System(text=plain_text(message.content)))
    history.expect_results()
    if len(history.messages) > 1 and history.messages[-1] == Assistant():
        history.messages.pop()  # the answer has yet to begin
    last = history.messages[-1] if history.messages else None
    history.is_begun = isinstance(body.messages[-1], wire.AssistantMessage) and isinstance(last, Assistant) and bool(last.text)
    return history


def plain_text(content: Text) -> str:
    return content if isinstance(content, str) else "\n".join(block.text for block in content)
