"""Turns core events (server/core/events.py) into output items and events of the Responses API."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from server.api.common.logprobs import chat_logprobs
from server.api.common.search.citations import to_file_citation
from server.api.responses.client_tools import ClientTool
from server.api.responses.events.call_items import CustomCallBuilder, FunctionCallBuilder
from server.api.responses.events.output_items import ItemBuilder, MessageBuilder, OutputItems, ReasoningBuilder
from server.api.responses.events.server_tools import to_listed_tool, to_mcp_error, to_search_result
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
from server.text.tokenizer import ChatTokenizer

ServerToolEvent = (
    SearchStarted | SearchFinished | ToolListingStarted | ToolListingFinished | ToolCallStarted | ToolCallFinished | ApprovalRequested
)


class EventEmitter:
    """A call of a server tool gets its item when it runs, not while the model writes it: only then is it known whether the item is
    an mcp_call or an mcp_approval_request."""

    def __init__(
        self, items: OutputItems, tokenizer: ChatTokenizer, tools: Mapping[str, ClientTool], *, logprobs: bool, summary: bool
    ) -> None:
        """`tools`: those that the client runs, by the names that the model knows. `summary`: reasoning is sent as a summary, too."""
        self._tools = tools
        self._items, self._tokenizer, self._logprobs, self._summary = items, tokenizer, logprobs, summary
        self._message: MessageBuilder | None = None
        self._reasoning: ReasoningBuilder | None = None
        self._function_calls: dict[str, FunctionCallBuilder | CustomCallBuilder] = {}
        self._running_calls: dict[str, ItemBuilder] = {}
        self._search: ItemBuilder | None = None
        self._listings: dict[str, ItemBuilder] = {}
        self._turn_finish: Literal["stop", "length"] | None = None  # of the turn whose last delta has come
        self._held_whitespace = ""  # text that has not begun a message yet
        self._held_calls: list[ToolCallDelta] = []  # of a turn with citations, which come at its end and belong before the calls
        self._has_passages = False  # the prompt has passages of documents that the answer may cite
        self._turn_has_output = False  # the current turn has text or tool calls
        self.finished: AnswerFinished | None = None

    def events(self, event: Event) -> list[Json]:
        """The events that a core event causes, without `sequence_number`."""
        if self._turn_finish is not None and not isinstance(event, CitationsAdded):
            self._client_calls(self._held_calls)
        match event:
            case OutputDelta():
                self._output(event)
            case CitationsAdded():
                for citation in event.citations:
                    self._open_message().annotate(to_file_citation(citation).model_dump())
            case AnswerFinished():
                self._answer_finished(event)
            case _:
                self._server_tool(event)
        return self._items.take_events()

    def _server_tool(self, event: ServerToolEvent) -> None:
        """Events before or between turns."""
        self._finish_open()
        match event:
            case SearchStarted():
                self._search_started()
            case SearchFinished():
                self._search_finished(event)
            case ToolListingStarted():
                self._listing_started(event.server_label)
            case ToolListingFinished():
                self._listing_finished(event)
            case ToolCallStarted():
                self._call_started(event)
            case ToolCallFinished():
                self._call_finished(event)
            case ApprovalRequested():
                fields = {"server_label": event.server_label, "name": event.name, "arguments": event.arguments}
                self._items.add_item("mcp_approval_request", **fields).finish()

    def _output(self, output: OutputDelta) -> None:
        if self._turn_finish is not None:
            self._finish_open()
            self._turn_finish, self._turn_has_output, self._held_whitespace = None, False, ""
        if output.reasoning:
            self._append_reasoning(output.reasoning)
        if output.text:
            self._append_text(output.text, output.logprobs)
        self._turn_finish = output.finish
        self._turn_has_output = self._turn_has_output or bool(output.tool_calls)
        if self._has_passages:
            self._held_calls += output.tool_calls
        else:
            self._client_calls(output.tool_calls)

    def _append_reasoning(self, delta: str) -> None:
        if self._reasoning is None:
            self._finish_open()
            self._reasoning = ReasoningBuilder(self._items, summary=self._summary)
        self._reasoning.append(delta)

    def _append_text(self, delta: str, logged: Sequence[LoggedToken]) -> None:
        """White space alone begins no message: only tool calls may follow it."""
        if self._message is None and not delta.strip():
            self._held_whitespace += delta
            return
        logprobs = [entry.model_dump() for entry in chat_logprobs(self._tokenizer, logged)] if self._logprobs else []
        text, self._held_whitespace = self._held_whitespace + delta, ""
        self._open_message().append(text, logprobs)

    def _open_message(self) -> MessageBuilder:
        if self._message is None:
            self._finish_open()
            self._message, self._turn_has_output = MessageBuilder(self._items), True
        return self._message

    def _client_calls(self, deltas: Sequence[ToolCallDelta]) -> None:
        self._held_calls = []
        for delta in deltas:
            if delta.server_label is None:
                self._function_call(delta)

    def _function_call(self, delta: ToolCallDelta) -> None:
        if delta.begun:
            self._finish_open()
            tool = self._tools.get(delta.name, ClientTool(name=delta.name))
            builder = CustomCallBuilder if tool.custom else FunctionCallBuilder
            self._function_calls[delta.id] = builder(self._items, delta.id, tool)
        call = self._function_calls[delta.id]
        if delta.arguments:
            call.append(delta.arguments)
        if delta.done:
            truncated = delta.cut or (self._turn_finish == "length" and not _is_json(call.arguments))
            call.finish("incomplete" if truncated else "completed")

    def _finish_open(self) -> None:
        """Finishes the message or reasoning item that is open."""
        status = "incomplete" if self._turn_finish == "length" else "completed"
        message, reasoning, self._message, self._reasoning = self._message, self._reasoning, None, None
        if message is not None:
            message.finish(status)
        if reasoning is not None:
            reasoning.finish(status)

    def _search_started(self) -> None:
        self._search = self._items.add_item("file_search_call", status="in_progress", queries=[], results=None)
        self._search.emit("file_search_call.in_progress")
        self._search.emit("file_search_call.searching")

    def _search_finished(self, event: SearchFinished) -> None:
        assert self._search is not None  # SearchStarted comes first
        self._has_passages = bool(event.hits)
        self._search.emit("file_search_call.completed")
        results = [to_search_result(hit) for hit in event.hits]
        self._search.finish(status="completed", queries=list(event.queries), results=results)

    def _listing_started(self, label: str) -> None:
        item = self._listings[label] = self._items.add_item("mcp_list_tools", server_label=label, tools=[], error=None)
        item.emit("mcp_list_tools.in_progress")

    def _listing_finished(self, event: ToolListingFinished) -> None:
        item = self._listings.pop(event.server_label)
        item.emit("mcp_list_tools.failed" if event.error else "mcp_list_tools.completed")
        item.finish(tools=[to_listed_tool(tool) for tool in event.tools], error=event.error)

    def _call_started(self, event: ToolCallStarted | ToolCallFinished) -> ItemBuilder:
        item = self._items.add_item(
            "mcp_call",
            server_label=event.server_label,
            name=event.name,
            arguments="",
            output=None,
            error=None,
            status="in_progress",
            approval_request_id=event.approval_id,
        )
        item.emit("mcp_call.in_progress")
        item.emit("mcp_call_arguments.delta", delta=event.arguments)
        item.emit("mcp_call_arguments.done", arguments=event.arguments)
        item.fields["arguments"] = event.arguments
        self._running_calls[event.call_id] = item
        return item

    def _call_finished(self, event: ToolCallFinished) -> None:
        """A call that was refused was never started; its item is added here."""
        item = self._running_calls.pop(event.call_id, None) or self._call_started(event)
        self._running_calls.pop(event.call_id, None)
        outcome = event.outcome
        item.emit("mcp_call.completed" if outcome.fault is None else "mcp_call.failed")
        if outcome.fault is None:
            item.finish(status="completed", output=outcome.text)
        else:
            item.finish(status="failed", error=to_mcp_error(outcome.fault))

    def _answer_finished(self, event: AnswerFinished) -> None:
        if not self._turn_has_output and self._reasoning is None and event.reason == "stop":
            self._open_message().append(self._held_whitespace, [])  # an empty answer is an empty message
        self._finish_open()
        self.finished = event


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
