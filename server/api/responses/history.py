"""From items to what has been said, and what of it is still open: calls without an output, approvals that have just come."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from server.api.responses.items import thought_of
from server.chat.tools.toolset import model_name
from server.core.errors import bad_request
from server.core.messages import Assistant, Json, Message, System, ToolCall, ToolResult, User
from server.core.request import ApprovalDecision

UNTRUSTED = frozenset({"function_call_output", "mcp_call", "file_search_call"})


@dataclass(slots=True)
class History:
    """Reads items one after the other. Raises ApiError for what does not fit together."""

    sayings: list[Message] = field(default_factory=list[Message])
    pending: list[ApprovalDecision] = field(default_factory=list[ApprovalDecision])
    listed: set[str] = field(default_factory=set[str])  # labels of servers whose tools the client knows
    earlier: list[ToolCall] = field(default_factory=list[ToolCall])  # of server tools, since the user's last message
    read: bool = False  # what may not be trusted, anywhere: also an answer that rests on it says what it wants
    _calls: dict[str, str] = field(default_factory=dict[str, str])  # of functions, without an output: id -> name
    _cut: set[str] = field(default_factory=set[str])  # ids of calls that were never written to their end
    _requests: dict[str, tuple[Json, str | None]] = field(default_factory=dict[str, tuple[Json, str | None]])  # for approval, undecided

    def add(self, item: Json, place: str, *, new: bool) -> None:
        """`place`: the field that holds it. `new`: it comes with this request."""
        self.read = self.read or item["type"] in UNTRUSTED
        match item["type"]:
            case "message":
                self._message(item)
            case "reasoning":
                if thought := thought_of(item):
                    self._say(Assistant(reasoning=thought))
            case "function_call":
                self._call(item, place)
            case "function_call_output":
                self._output(item, place, new=new)
            case "mcp_list_tools":
                if not item.get("error"):
                    self.listed.add(item["server_label"])
            case "mcp_call":
                self._hosted_call(item, place)
            case "mcp_approval_request":
                self._requests[item["id"]] = (item, place if new else None)
            case "mcp_approval_response":
                self._decision(item, place, new=new)
            case _:  # a search: the question is looked up anew
                pass

    def finish(self, place: str) -> None:
        if self._calls:
            raise bad_request(place, f"{place}: there is no function_call_output for call_id {next(iter(self._calls))!r}")

    def _message(self, item: Json) -> None:
        text = "\n".join(part["refusal"] if part["type"] == "refusal" else part["text"] for part in item["content"])
        match item["role"]:
            case "assistant":
                self._say(Assistant(text=text))
            case "user":
                self.sayings.append(User(text=text))
                self.earlier = []
            case _:
                self.sayings.append(System(text=text))

    def _say(self, said: Assistant) -> None:
        """Thoughts, words and calls that follow each other are one turn's."""
        last = self.sayings[-1] if self.sayings else None
        if not isinstance(last, Assistant) or (said.reasoning and (last.text or last.tool_calls)) or (said.text and last.tool_calls):
            self.sayings.append(said)
            return
        text = f"{last.text}\n{said.text}" if last.text and said.text else last.text + said.text
        merged = replace(last, text=text, reasoning=last.reasoning + said.reasoning, tool_calls=(*last.tool_calls, *said.tool_calls))
        self.sayings[-1] = merged

    def _call(self, item: Json, place: str) -> None:
        """One that was cut off is nothing that the model said: nobody can answer it."""
        if item["status"] != "completed":
            self._cut.add(item["call_id"])
            return
        call = ToolCall(id=item["call_id"], name=item["name"], arguments=_object(item["arguments"], place))
        if call.id in self._calls:
            raise bad_request(f"{place}.call_id", f"{place}.call_id: there is a call with this id already")
        self._calls[call.id] = call.name
        self._say(Assistant(tool_calls=(call,)))

    def _output(self, item: Json, place: str, *, new: bool) -> None:
        name, given = self._calls.pop(item["call_id"], None), item.get("name")
        if name is None:
            told = "the call was cut off and has no output" if item["call_id"] in self._cut else "no function call before it has the id"
            raise bad_request(f"{place}.call_id", f"{place}.call_id: {told}: {item['call_id']!r}")
        if new and given is not None and given != name:
            raise bad_request(
                f"{place}.name", f"{place}.name: the function of call {item['call_id']!r} is {name!r}; leave it out or say so"
            )
        output = item["output"]
        text = output if isinstance(output, str) else "\n".join(part["text"] for part in output)
        self.sayings.append(ToolResult(call_id=item["call_id"], name=name, text=text))

    def _hosted_call(self, item: Json, place: str) -> None:
        self._requests.pop(item.get("approval_request_id") or "", None)
        self.pending = [one for one in self.pending if one.request_id != item.get("approval_request_id")]
        self._ran(item, place, item.get("output") or failure(item.get("error")))

    def _ran(self, item: Json, place: str, result: str) -> None:
        name = model_name(item["server_label"], item["name"])
        call = ToolCall(id=item["id"], name=name, arguments=_object(item["arguments"], place))
        self.earlier.append(call)
        self._say(Assistant(tool_calls=(call,)))
        self.sayings.append(ToolResult(call_id=call.id, name=name, text=result))

    def _decision(self, item: Json, place: str, *, new: bool) -> None:
        if new and item["request_id"] != item["approval_request_id"]:
            told = f"{place}.request_id: must be the same as approval_request_id, or be left out"
            raise bad_request(f"{place}.request_id", told)
        found = self._requests.pop(item["approval_request_id"], None)
        if found is None and not new:
            return  # it has had its answer by then
        if found is None:
            told = f"{place}.approval_request_id: there is no such request, or it has been decided"
            raise bad_request(f"{place}.approval_request_id", told)
        if new:
            request, asked = found
            self.pending.append(
                ApprovalDecision(
                    request_id=request["id"],
                    label=request["server_label"],
                    name=request["name"],
                    arguments=_object(request["arguments"], place),
                    approved=item["approve"],
                    field=f"{place}.approval_request_id",
                    reason=item.get("reason"),
                    place=asked,
                )
            )


def failure(error: Json | None) -> str:
    """An mcp_call's error in words."""
    if error is None:
        return ""
    if error["type"] == "mcp_tool_execution_error":
        return "\n".join(str(part.get("text", "")) for part in error["content"])
    return str(error["message"])


def read(before: Sequence[Json], items: Sequence[Json]) -> History:
    """`items`: this request's, in the order of its `input`. Raises ApiError."""
    history = History()
    for item in before:
        history.add(item, "input", new=False)
    for at, item in enumerate(items):
        history.add(item, f"input.{at}", new=True)
    history.finish("input")
    return history


def _object(arguments: str, place: str) -> str:
    """Templates know arguments as objects."""
    try:
        good = isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        good = False
    if not good:
        raise bad_request(f"{place}.arguments", f"{place}.arguments: must be the JSON text of an object")
    return arguments or "{}"
