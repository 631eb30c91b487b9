"""Converts stored items to core messages (server/core/messages.py), and collects approvals and open calls."""

import json
from dataclasses import dataclass, field, replace

from server.api.responses.client_tools import custom_arguments, model_tool_name
from server.api.responses.compaction.seal import NotOurs, Summary, unseal
from server.api.responses.input_items import reasoning_text
from server.api.responses.resolved_input import ResolvedInput
from server.chat.tools.toolset import model_name
from server.core.errors import bad_request
from server.core.images import image_of_url
from server.core.messages import Assistant, Image, ImageFile, Json, Message, System, ToolCall, ToolResult, User, joined_parts
from server.core.request import ApprovalDecision
from server.runtime.runtime import Runtime

SUMMARY = "This is a summary of our conversation so far. It is a record of it, no request:\n\n{text}"
UNTRUSTED_TYPES = frozenset({"function_call_output", "custom_tool_call_output", "mcp_call", "file_search_call"})


@dataclass(slots=True)
class ChatHistory:
    """Takes items in order. Methods raise ApiError for items that do not fit together. `runtime` opens compaction items."""

    runtime: Runtime
    messages: list[Message] = field(default_factory=list[Message])
    approval_decisions: list[ApprovalDecision] = field(default_factory=list[ApprovalDecision])  # that this request brings
    listed_servers: set[str] = field(default_factory=set[str])  # labels of MCP servers whose tools the client has been sent
    server_calls: list[ToolCall] = field(default_factory=list[ToolCall])  # calls of server tools since the user's last message
    untrusted: bool = False  # there is untrusted content, now or earlier: later answers may repeat what it says
    _summary: User | None = None  # of what stood before it
    _open_calls: dict[str, str] = field(default_factory=dict[str, str])  # function calls without an output: call id -> function name
    _truncated_calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])  # by id: not written to their end, no output yet
    _approval_requests: dict[str, tuple[Json, str | None]] = field(default_factory=dict[str, tuple[Json, str | None]])
    """Undecided, by id: the item and, if this request has it, its field."""

    def add(self, item: Json, field: str, *, new: bool) -> None:
        """`field`: the request's field that has the item. `new`: it comes with this request."""
        self.untrusted = self.untrusted or item["type"] in UNTRUSTED_TYPES
        match item["type"]:
            case "message":
                self._add_message(item, field)
            case "reasoning":
                if text := reasoning_text(item):
                    self._add_assistant(Assistant(reasoning=text))
            case "function_call":
                self._add_function_call(item, field)
            case "custom_tool_call":
                self._add_function_call({**item, "arguments": custom_arguments(item["input"])}, field)
            case "function_call_output" | "custom_tool_call_output":
                self._add_function_output(item, field, new=new)
            case "mcp_list_tools":
                if not item.get("error"):
                    self.listed_servers.add(item["server_label"])
            case "mcp_call":
                self._add_mcp_call(item, field)
            case "mcp_approval_request":
                self._approval_requests[item["id"]] = (item, field if new else None)
            case "mcp_approval_response":
                self._add_approval_response(item, field, new=new)
            case "compaction":
                self._add_compaction(item, field)
            case _:  # file_search_call: each request searches anew
                pass

    def expect_outputs(self, field: str) -> None:
        """Raises ApiError if a function call has no output."""
        if self._open_calls:
            raise bad_request(field, f"{field}: there is no function_call_output for call_id {next(iter(self._open_calls))!r}")

    def _add_compaction(self, item: Json, field: str) -> None:
        """Instead of what the assistant and its tools have said, and of an earlier summary."""
        found = open_compaction(self.runtime, item, field)
        kept = [message for message in self.messages if isinstance(message, User | System) and message is not self._summary]
        self._summary = User(text=SUMMARY.format(text=found.text))
        unanswered = not found.answered and bool(kept) and isinstance(kept[-1], User)
        kept.insert(len(kept) - unanswered, self._summary)
        self.messages = list(kept)
        self.untrusted = self.untrusted or found.untrusted

    def _add_message(self, item: Json, field: str) -> None:
        text, images = joined_parts(_part(part, f"{field}.content.{i}") for i, part in enumerate(item["content"]))
        match item["role"]:
            case "assistant":
                self._add_assistant(Assistant(text=text))
            case "user":
                self.messages.append(User(text=text, images=images))
                self.server_calls = []
            case _ if images:
                raise bad_request(images[0].field, f"{images[0].field}: only a user shows images", "unsupported")
            case _:
                self.messages.append(System(text=text))

    def _add_assistant(self, message: Assistant) -> None:
        """Merges reasoning, text and calls that follow each other into one message, as the model wrote them in one turn."""
        last = self.messages[-1] if self.messages else None
        if not isinstance(last, Assistant) or (message.reasoning and (last.text or last.tool_calls)) or (message.text and last.tool_calls):
            self.messages.append(message)
            return
        self.messages[-1] = replace(
            last,
            text=f"{last.text}\n{message.text}" if last.text and message.text else last.text + message.text,
            reasoning=last.reasoning + message.reasoning,
            tool_calls=(*last.tool_calls, *message.tool_calls),
        )

    def _add_function_call(self, item: Json, field: str) -> None:
        """A truncated call is left out of the messages, unless an output follows."""
        call = ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"])
        if item["status"] != "completed":
            self._truncated_calls[call.id] = call
            return
        if call.id in self._open_calls:
            raise bad_request(f"{field}.call_id", f"{field}.call_id: there is a call with this id already")
        self._open_calls[call.id] = call.name
        self._add_assistant(Assistant(tool_calls=(call,)))

    def _add_function_output(self, item: Json, field: str, *, new: bool) -> None:
        call_id, given_name = item["call_id"], item.get("name")
        if (truncated := self._truncated_calls.pop(call_id, None)) is not None:
            self._open_calls[call_id] = truncated.name
            self._add_assistant(Assistant(tool_calls=(truncated,)))
        if (name := self._open_calls.pop(call_id, None)) is None:
            raise bad_request(f"{field}.call_id", f"{field}.call_id: no function call before it has the id: {call_id!r}")
        if new and given_name is not None and name != given_name and not name.endswith(model_tool_name(given_name, "")):
            raise bad_request(f"{field}.name", f"{field}.name: the function of call {call_id!r} is {name!r}; leave it out or say so")
        output = item["output"]
        parts = [output] if isinstance(output, str) else [_part(part, f"{field}.output.{i}") for i, part in enumerate(output)]
        text, images = joined_parts(parts)
        self.messages.append(ToolResult(call_id=call_id, name=name, text=text, images=images))

    def _add_mcp_call(self, item: Json, field: str) -> None:
        """A call that ran after an approval has used up both the request and the decision."""
        approval_id = item.get("approval_request_id")
        self._approval_requests.pop(approval_id or "", None)
        self.approval_decisions = [decision for decision in self.approval_decisions if decision.approval_id != approval_id]
        name = model_name(item["server_label"], item["name"])
        call = ToolCall(id=item["id"], name=name, arguments=item["arguments"])
        self.server_calls.append(call)
        self._add_assistant(Assistant(tool_calls=(call,)))
        result = item.get("output") or error_text(item.get("error"))
        self.messages.append(ToolResult(call_id=call.id, name=name, text=result))

    def _add_approval_response(self, item: Json, field: str, *, new: bool) -> None:
        if new and item["request_id"] != item["approval_request_id"]:
            message = f"{field}.request_id: must be the same as approval_request_id, or be left out"
            raise bad_request(f"{field}.request_id", message)
        found = self._approval_requests.pop(item["approval_request_id"], None)
        if not new:
            return  # an earlier response has acted on it
        if found is None:
            message = f"{field}.approval_request_id: there is no such request, or it has been decided"
            raise bad_request(f"{field}.approval_request_id", message)
        request, request_field = found
        self.approval_decisions.append(
            ApprovalDecision(
                approval_id=request["id"],
                server_label=request["server_label"],
                name=request["name"],
                arguments=_object_json(request["arguments"], field),
                approved=item["approve"],
                field=f"{field}.approval_request_id",
                reason=item.get("reason"),
                request_field=request_field,
            )
        )


def _part(part: Json, field: str) -> str | Image:
    """Raises ApiError for an image that cannot be had."""
    if part["type"] != "input_image":
        return part["refusal"] if part["type"] == "refusal" else part["text"]
    url, id, low = part["image_url"], part["file_id"], part["detail"] == "low"
    if (url is None) == (id is None):
        raise bad_request(field, f"{field}: an image is named by one of image_url and file_id")
    if id is not None:
        return Image(content=ImageFile(id), low=low, field=f"{field}.file_id")
    return Image(content=image_of_url(url, f"{field}.image_url"), low=low, field=f"{field}.image_url")


def open_compaction(runtime: Runtime, item: Json, field: str) -> Summary:
    """Raises ApiError."""
    param = f"{field}.encrypted_content"
    try:
        return unseal(runtime.sealing_key, runtime.owner, item["encrypted_content"])
    except NotOurs:
        told = f"{param}: this compaction item cannot be opened: it was not made by this server for you, or has been changed"
        raise bad_request(param, told, "invalid_encrypted_content") from None


def error_text(error: Json | None) -> str:
    """An mcp_call's error as text for the model."""
    if error is None:
        return ""
    if error["type"] == "mcp_tool_execution_error":
        return "\n".join(str(part.get("text", "")) for part in error["content"])
    return str(error["message"])


def read_history(runtime: Runtime, resolved: ResolvedInput) -> ChatHistory:
    """Raises ApiError."""
    history = ChatHistory(runtime)
    for item in resolved.earlier_items:
        history.add(item, "input", new=False)
    for i, item in enumerate(resolved.new_items):
        history.add(item, f"input.{i}", new=True)
    history.expect_outputs("input")
    if resolved.compaction is not None:
        history.add(resolved.compaction, "input", new=False)
    return history


def _object_json(arguments: str, field: str) -> str:
    """Raises ApiError unless the arguments are a JSON object, which tools need."""
    try:
        is_object = isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise bad_request(f"{field}.arguments", f"{field}.arguments: must be the JSON text of an object")
    return arguments or "{}"
