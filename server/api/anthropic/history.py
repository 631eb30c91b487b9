"""From messages of content blocks to what has been said."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.api.anthropic import content_types as wire
from server.api.anthropic.request_types import CountRequest
from server.chat.tools.toolset import model_name
from server.core.errors import bad_request
from server.core.messages import Assistant, Message, System, ToolCall, ToolResult, User

FAILED = "Error: "


@dataclass
class Sayings:
    """Collects them. Each call has one result: a client's in the user's messages that follow, a server's in the answer itself."""

    said: list[Message] = field(default_factory=list[Message])
    names: dict[str, str] = field(default_factory=dict[str, str])  # of the tools that were called, by the calls' ids
    open: dict[str, str] = field(default_factory=dict[str, str])  # calls without a result: id -> the block that made it
    cited: bool = False  # an answer rests on documents, which may not be trusted
    hosted: list[ToolCall] = field(default_factory=list[ToolCall])  # calls since the user last spoke that ran on the server

    def user(self, message: wire.UserMessage, at: str) -> None:
        if isinstance(message.content, str):
            self._speak([message.content])
            return
        texts: list[str] = []
        for i, block in enumerate(message.content):
            if isinstance(block, wire.TextBlock):
                texts.append(block.text)
            else:
                self._speak(texts)
                texts = []
                self._result(block, f"{at}.content.{i}")
        self._speak(texts)

    def assistant(self, message: wire.AssistantMessage, at: str) -> None:
        self.expect_results()
        if isinstance(message.content, str):
            self.said.append(Assistant(text=message.content))
            return
        part = _Part()
        for i, block in enumerate(message.content):
            if isinstance(block, wire.McpToolResultBlock):
                self._close(part)
                part = _Part()
                self._result(block, f"{at}.content.{i}")
            else:
                self.cited = self.cited or (isinstance(block, wire.TextBlock) and bool(block.citations))
                call = part.take(block)
                if call is not None:
                    self._call(call, f"{at}.content.{i}", hosted=isinstance(block, wire.McpToolUseBlock))
        self._close(part)

    def expect_results(self) -> None:
        """Before the assistant speaks again. Raises ApiError."""
        for id, at in self.open.items():
            raise bad_request(
                f"{at}.id", f"{at}.id: there is no result for the tool use {id!r}; answer it before the assistant speaks again"
            )

    def _speak(self, texts: Sequence[str]) -> None:
        if texts:
            self.said.append(User(text="\n".join(texts)))
            self.hosted.clear()

    def _close(self, part: "_Part") -> None:
        if part.texts or part.thoughts or part.calls:
            text, thought = "".join(part.texts), "\n".join(part.thoughts)
            self.said.append(Assistant(text=text, reasoning=thought, tool_calls=tuple(part.calls)))

    def _call(self, call: ToolCall, at: str, *, hosted: bool) -> None:
        if call.id in self.names:
            raise bad_request(f"{at}.id", f"{at}.id: there is a tool use {call.id!r} already")
        self.names[call.id], self.open[call.id] = call.name, at
        if hosted:
            self.hosted.append(call)

    def _result(self, block: wire.ToolResultBlock | wire.McpToolResultBlock, at: str) -> None:
        name = self.names.get(block.tool_use_id)
        if name is None:
            raise bad_request(f"{at}.tool_use_id", f"{at}.tool_use_id: no tool was called as {block.tool_use_id!r} before")
        if self.open.pop(block.tool_use_id, None) is None:
            raise bad_request(f"{at}.tool_use_id", f"{at}.tool_use_id: the tool use {block.tool_use_id!r} has its result already")
        told = (FAILED if block.is_error else "") + plain(block.content)
        self.said.append(ToolResult(call_id=block.tool_use_id, name=name, text=told))


@dataclass
class _Part:
    """Of an assistant's message: what it said before it got to read results."""

    texts: list[str] = field(default_factory=list[str])
    thoughts: list[str] = field(default_factory=list[str])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])

    def take(self, block: wire.TextBlock | wire.ThinkingBlock | wire.ToolUseBlock | wire.McpToolUseBlock) -> ToolCall | None:
        match block:
            case wire.TextBlock():
                self.texts.append(block.text)
            case wire.ThinkingBlock():
                self.thoughts.append(block.thinking)
            case wire.ToolUseBlock() | wire.McpToolUseBlock():
                name = block.name if isinstance(block, wire.ToolUseBlock) else model_name(block.server_name, block.name)
                self.calls.append(ToolCall(id=block.id, name=name, arguments=json.dumps(block.input)))
                return self.calls[-1]
        return None


def sayings(body: CountRequest) -> Sayings:
    """Raises ApiError for what does not fit together."""
    found = Sayings()
    if body.system:
        found.said.append(System(text=plain(body.system)))
    for i, message in enumerate(body.messages):
        match message:
            case wire.UserMessage():
                found.user(message, f"messages.{i}")
            case wire.AssistantMessage():
                found.assistant(message, f"messages.{i}")
            case wire.SystemMessage():
                found.said.append(System(text=plain(message.content)))
    last = f"messages.{len(body.messages) - 1}.role"
    if isinstance(body.messages[-1], wire.AssistantMessage):
        raise bad_request(last, f"{last}: the last message must be the user's: an answer cannot be begun for the model")
    found.expect_results()
    return found


def plain(content: wire.Text) -> str:
    return content if isinstance(content, str) else "\n".join(block.text for block in content)
