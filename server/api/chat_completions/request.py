"""What a chat completion is asked for, as a Wish."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.api.chat_completions import content_types as wire_content
from server.api.chat_completions import message_types as wire_messages
from server.api.chat_completions import tool_types as tools
from server.api.chat_completions import types as wire
from server.api.chat_completions.unsupported_types import CustomChoice, CustomTool, FunctionMessage
from server.api.common.generation import sampling_params, stop_strings
from server.api.common.output_format import grammar_field, to_grammar
from server.api.common.server_tools import NO_PARAMETERS, restrict, to_file_search, to_mcp_toolset
from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.chat.grounding.grounding import default_search
from server.chat.tools.toolset import any_tool_of, model_name
from server.core.errors import bad_request
from server.core.messages import Assistant, Message, NamedTools, System, Tool, ToolCall, ToolChoice, ToolResult, User
from server.core.request import ApprovalDecision, FieldNames, FileSearch, GenerationRequest, McpToolset
from server.runtime.runtime import Runtime


@dataclass
class Given:
    """The request's tools by kind."""

    functions: list[Tool] = field(default_factory=list[Tool])
    servers: list[McpToolset] = field(default_factory=list[McpToolset])
    search: FileSearch | None = None
    at: str = "tools.0"  # where the search stands


def to_generation_request(runtime: Runtime, body: wire.ChatRequest) -> GenerationRequest:
    """Raises ApiError for what cannot be honoured."""
    given = _tools(body)
    choice = _choice(body, given)
    if not any(isinstance(tool, FileSearchTool) for tool in body.tools or ()):
        given.search = default_search(runtime)
    elif choice == "none":
        given.search = None
    if body.include and given.search is None:
        raise bad_request("include", "include: without the file_search tool nothing is searched")
    return GenerationRequest(
        model=body.model,
        messages=to_messages(body.messages),
        sampling=sampling_params(body),
        n=body.n or 1,
        stop=stop_strings(body),
        max_tokens=limit(body),
        response_format=to_grammar(body),
        logprobs=_logprobs(body),
        reasoning_effort=body.reasoning_effort,
        template_kwargs=body.chat_template_kwargs or {},
        tools=tuple(given.functions),
        mcp_servers=tuple(given.servers),
        file_search=given.search,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        approval_decisions=_pending(body),
        earlier_calls=_earlier(body.messages),
        field_names=FieldNames(response_format=grammar_field(body), file_search=given.at),
    )


def limit(body: wire.ChatRequest) -> int | None:
    asked = {n for n in (body.max_completion_tokens, body.max_tokens) if n is not None}
    if len(asked) > 1:
        raise bad_request("max_tokens", "max_tokens and max_completion_tokens say different things; send one")
    return min(asked, default=None)


def _logprobs(body: wire.ChatRequest) -> int | None:
    if body.top_logprobs is not None and not body.logprobs:
        raise bad_request("top_logprobs", "top_logprobs needs logprobs: true")
    return (body.top_logprobs or 0) if body.logprobs else None


def to_messages(messages: Sequence[wire_messages.Message]) -> list[Message]:
    """Raises ApiError for results without calls, and calls without results."""
    said: list[Message] = []
    waiting: dict[str, str] = {}  # id of a call that has no result yet -> name
    for at, message in enumerate(messages):
        if waiting and not isinstance(message, wire_messages.ToolMessage):
            raise _unanswered(at, waiting)
        place = f"messages.{at}.content"
        match message:
            case wire_messages.SystemMessage():
                said.append(System(text=text(message.content, place), name=message.name))
            case wire_messages.UserMessage():
                said.append(User(text=text(message.content, place), name=message.name))
            case FunctionMessage():
                name = f"messages.{at}.role"
                raise bad_request(name, f"{name}: function is older than tools, which replace it; send tool messages", "unsupported")
            case wire_messages.ToolMessage():
                if message.tool_call_id not in waiting:
                    name = f"messages.{at}.tool_call_id"
                    raise bad_request(
                        name, f"{name}: the assistant's message before it has no call {message.tool_call_id!r} that waits for this"
                    )
                name = waiting.pop(message.tool_call_id)
                said.append(ToolResult(call_id=message.tool_call_id, name=name, text=text(message.content, place)))
            case wire_messages.AssistantMessage():
                said += _assistant(message, place)
                waiting = {call.id: call.function.name for call in _called(message)}
    if waiting:
        raise _unanswered(len(messages), waiting)
    return said


def text(content: str | Sequence[wire_content.UserPart | wire_content.AssistantPart] | None, place: str) -> str:
    """`place`: the field that holds it."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_words(part, f"{place}.{at}.type") for at, part in enumerate(content))


def _words(part: wire_content.UserPart | wire_content.AssistantPart, place: str) -> str:
    match part:
        case wire_content.TextPart():
            return part.text
        case wire_content.RefusalPart():
            return part.refusal
        case _:
            raise bad_request(place, f"{place}: this server reads text; it has no use for {part.type}", "unsupported")


def _unanswered(at: int, waiting: dict[str, str]) -> Exception:
    missing = ", ".join(waiting)
    return bad_request(
        f"messages.{at}", f"messages.{at}: tool calls are answered by tool messages, right behind them; there is none for {missing}"
    )


def _assistant(message: wire_messages.AssistantMessage, place: str) -> list[Message]:
    """Calls that the server made come first: its answer rests on them. So do those that it wanted to make."""
    ran = message.mcp_calls or []
    said: list[Message] = []
    if ran:
        calls = tuple(ToolCall(id=c.id, name=model_name(c.server_label, c.name), arguments=c.arguments) for c in ran)
        said.append(Assistant(tool_calls=calls))
        said += [ToolResult(call_id=c.id, name=model_name(c.server_label, c.name), text=_outcome(c)) for c in ran]
    own = tuple(ToolCall(id=c.id, name=c.function.name, arguments=c.function.arguments) for c in _called(message))
    words, thought = text(message.content, place) or message.refusal or "", message.reasoning_content or ""
    if words or thought or own or not (ran or message.mcp_approval_requests):
        said.append(Assistant(text=words, reasoning=thought, tool_calls=own, name=message.name))
    return said


def _called(message: wire_messages.AssistantMessage) -> list[tools.ToolCall]:
    """Of another kind there are none: the wire type refuses them."""
    return [call for call in message.tool_calls or () if isinstance(call, tools.ToolCall)]


def _outcome(call: tools.McpCall) -> str:
    return call.error.message if call.error else call.output or ""


def _earlier(messages: Sequence[wire_messages.Message]) -> tuple[ToolCall, ...]:
    """Calls since the user's last words."""
    last = max((at for at, message in enumerate(messages) if isinstance(message, wire_messages.UserMessage)), default=-1)
    made = [c for m in messages[last + 1 :] if isinstance(m, wire_messages.AssistantMessage) for c in m.mcp_calls or ()]
    return tuple(ToolCall(id=c.id, name=model_name(c.server_label, c.name), arguments=c.arguments) for c in made)


def _pending(body: wire.ChatRequest) -> tuple[ApprovalDecision, ...]:
    """The requests of what the assistant said last, with what the client has decided. Each needs one decision. Behind it there are
    results of the client's own calls at most."""
    asked, decided = _wanted(body), _decisions(body.mcp_approvals or ())
    if unknown := sorted(decided.keys() - asked.keys()):
        raise bad_request("mcp_approvals", f"mcp_approvals: the last assistant message has no request {unknown[0]!r}")
    if missing := [id for id in asked if id not in decided]:
        raise bad_request(
            "mcp_approvals", f"mcp_approvals: there is no decision about {missing[0]!r}, which the last assistant message asks for"
        )
    return tuple(
        ApprovalDecision(
            approval_id=request.id,
            server_label=request.server_label,
            name=request.name,
            arguments=request.arguments,
            approved=decided[request.id][1].approve,
            field=decided[request.id][0],
            reason=decided[request.id][1].reason,
            request_field=place,
        )
        for place, request in asked.values()
    )


def _wanted(body: wire.ChatRequest) -> dict[str, tuple[str, tools.McpApprovalRequest]]:
    """By id, of which there is one each, with the field that holds it: one decision must not let two calls run."""
    given = list(enumerate(body.messages))
    last = next(((at, said) for at, said in reversed(given) if not isinstance(said, wire_messages.ToolMessage)), None)
    wanted = dict[str, tuple[str, tools.McpApprovalRequest]]()
    if last is None or not isinstance(last[1], wire_messages.AssistantMessage):
        return wanted
    for at, request in enumerate(last[1].mcp_approval_requests or ()):
        place = f"messages.{last[0]}.mcp_approval_requests.{at}"
        if request.id in wanted:
            raise bad_request(f"{place}.id", f"{place}.id: there is a request {request.id!r} already")
        wanted[request.id] = (place, request)
    return wanted


def _decisions(approvals: Sequence[tools.McpApproval]) -> dict[str, tuple[str, tools.McpApproval]]:
    """By id of the request, with the field that names it."""
    decided = dict[str, tuple[str, tools.McpApproval]]()
    for at, approval in enumerate(approvals):
        id, place = approval.approval_request_id, f"mcp_approvals.{at}.approval_request_id"
        if id in decided:
            raise bad_request(place, f"{place}: {id!r} is decided twice")
        decided[id] = (place, approval)
    return decided


def _tools(body: wire.ChatRequest) -> Given:
    given = Given()
    for at, tool in enumerate(body.tools or ()):
        match tool:
            case tools.FunctionTool(function=asked):
                parameters = NO_PARAMETERS if asked.parameters is None else asked.parameters
                described, strict = asked.description or "", asked.strict is True
                given.functions.append(
                    Tool(name=asked.name, description=described, parameters=parameters, strict=strict, field=f"tools.{at}")
                )
            case FileSearchTool():
                if given.search is not None:
                    raise bad_request("tools", "tools: there can be one file_search; name all its stores in vector_store_ids")
                given.search, given.at = to_file_search(tool, f"tools.{at}"), f"tools.{at}"
            case McpTool():
                if tool.server_label in [server.server_label for server in given.servers]:
                    raise bad_request(f"tools.{at}", f"tools.{at}: the MCP server {tool.server_label!r} is there twice")
                given.servers.append(to_mcp_toolset(tool, f"tools.{at}"))
            case CustomTool():
                told = f"tools.{at}: this server has no tools of type custom; describe a function with one string instead"
                raise bad_request(f"tools.{at}", told, "unsupported")
    return given


def _choice(body: wire.ChatRequest, given: Given) -> ToolChoice:
    """What allowed_tools leaves out is taken out of `given`."""
    match body.tool_choice:
        case None:
            return "auto"
        case "required" if not (given.functions or given.servers):
            if given.search is None:
                raise bad_request("tool_choice", "tool_choice: no tool is given that could be required")
            return "auto"  # it is searched whatever the model does
        case str(mode):
            return mode
        case FileSearchChoice():
            if given.search is None:
                raise bad_request("tool_choice", "tool_choice: there is no file_search among the tools")
            return "auto"
        case tools.AllowedToolsChoice(allowed_tools=allowed):
            return _allowed(allowed, given)
        case one:
            return NamedTools(names=(_name(one),))


def _name(one: tools.FunctionChoice | McpChoice | CustomChoice) -> str:
    if isinstance(one, CustomChoice):
        return one.custom.name  # there is no tool of that name
    if isinstance(one, tools.FunctionChoice):
        return one.function.name
    return any_tool_of(one.server_label) if one.name is None else model_name(one.server_label, one.name)


def _allowed(allowed: tools.AllowedTools, given: Given) -> ToolChoice:
    names = {_name(one) for one in allowed.tools if not isinstance(one, FileSearchChoice)}
    known = {tool.name for tool in given.functions}
    asked = {one.function.name for one in allowed.tools if isinstance(one, tools.FunctionChoice)}
    if unknown := sorted(asked - known):
        raise bad_request("tool_choice", f"tool_choice: there is no tool {unknown[0]!r}")
    given.functions = [tool for tool in given.functions if tool.name in names]
    chosen = [one for one in allowed.tools if isinstance(one, McpChoice)]
    given.servers = [found for server in given.servers if (found := restrict(server, chosen)) is not None]
    if not any(isinstance(one, FileSearchChoice) for one in allowed.tools):
        given.search = None
    if allowed.mode == "auto":
        return "auto"
    return NamedTools(names=tuple(sorted(names))) if names else "auto"
