"""From the messages of a request to those that the model reads."""

from collections.abc import Sequence

from server.api.chat_completions import content_types, message_types
from server.api.chat_completions import tool_types as tools
from server.api.chat_completions.unsupported_types import FunctionMessage
from server.chat.tools.toolset import model_name
from server.core.errors import ApiError, bad_request
from server.core.images import image_of_url
from server.core.messages import Assistant, Image, Message, PromptEnd, System, ToolCall, ToolResult, User, joined_parts


def to_messages(messages: Sequence[message_types.Message]) -> list[Message]:
    """Raises ApiError for results without calls, and calls without results."""
    converted: list[Message] = []
    open_calls: dict[str, str] = {}  # id of a call that has no result yet -> name of the tool
    for index, message in enumerate(messages):
        if open_calls and not isinstance(message, message_types.ToolMessage):
            raise _missing_results(index, open_calls)
        field = f"messages.{index}.content"
        match message:
            case message_types.SystemMessage():
                converted.append(System(text=_to_text(message.content, field), name=message.name))
            case message_types.UserMessage():
                text, images = joined_parts(_to_parts(message.content, field))
                converted.append(User(text=text, name=message.name, images=images))
            case FunctionMessage():
                role = f"messages.{index}.role"
                raise bad_request(role, f"{role}: function is older than tools, which replace it; send tool messages", "unsupported")
            case message_types.ToolMessage():
                converted.append(_to_tool_result(message, index, open_calls))
            case message_types.AssistantMessage():
                converted += _to_assistant_messages(message, field)
                open_calls = {call.id: call.function.name for call in _function_calls(message)}
    if open_calls:
        raise _missing_results(len(messages), open_calls)
    return converted


def to_prompt_end(messages: Sequence[message_types.Message], *, continued: bool | None, generation: bool | None) -> PromptEnd:
    """`continued`, `generation`: continue_final_message and add_generation_prompt. Raises ApiError."""
    last, at = messages[-1], len(messages) - 1
    has_prefix = isinstance(last, message_types.AssistantMessage) and bool(last.prefix)
    if not (continued or has_prefix):
        return "nothing" if generation is False else "answer"
    field = "continue_final_message" if continued else f"messages.{at}.prefix"
    if generation:
        raise bad_request(field, f"{field} and add_generation_prompt exclude each other: an answer is continued or begun")
    if not isinstance(last, message_types.AssistantMessage) or not last.content or last.tool_calls:
        raise bad_request(field, f"{field}: the last message is no text of the assistant's that could be continued")
    return "continued"


def earlier_calls(messages: Sequence[message_types.Message]) -> tuple[ToolCall, ...]:
    """Calls that the server has run since the last user message, in earlier requests."""
    last_user = max((i for i, message in enumerate(messages) if isinstance(message, message_types.UserMessage)), default=-1)
    since = [message for message in messages[last_user + 1 :] if isinstance(message, message_types.AssistantMessage)]
    return tuple(_to_tool_call(call) for message in since for call in message.mcp_calls or ())


def _to_text(content: str | Sequence[content_types.UserPart | content_types.AssistantPart] | None, field: str) -> str:
    """`field`: where the content is. Raises ApiError for parts that are not text."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part_text(part, f"{field}.{i}.type") for i, part in enumerate(content))


def _to_parts(content: content_types.UserContent, field: str) -> list[str | Image]:
    """Raises ApiError for parts that are neither text nor images."""
    if isinstance(content, str):
        return [content]
    return [
        _image(part.image_url, f"{field}.{i}.image_url.url")
        if isinstance(part, content_types.ImagePart)
        else _part_text(part, f"{field}.{i}.type")
        for i, part in enumerate(content)
    ]


def _image(image: content_types.ImageUrl, field: str) -> Image:
    return Image(content=image_of_url(image.url, field), low=image.detail == "low", field=field)


def _part_text(part: content_types.UserPart | content_types.AssistantPart, field: str) -> str:
    match part:
        case content_types.TextPart():
            return part.text
        case content_types.RefusalPart():
            return part.refusal
        case _:
            raise bad_request(field, f"{field}: this server reads text; it has no use for {part.type}", "unsupported")


def _to_tool_result(message: message_types.ToolMessage, index: int, open_calls: dict[str, str]) -> ToolResult:
    """Takes its call out of `open_calls`."""
    if message.tool_call_id not in open_calls:
        field = f"messages.{index}.tool_call_id"
        raise bad_request(field, f"{field}: the assistant's message before it has no call {message.tool_call_id!r} that waits for this")
    name = open_calls.pop(message.tool_call_id)
    return ToolResult(call_id=message.tool_call_id, name=name, text=_to_text(message.content, f"messages.{index}.content"))


def _missing_results(index: int, open_calls: dict[str, str]) -> ApiError:
    ids, field = ", ".join(open_calls), f"messages.{index}"
    return bad_request(field, f"{field}: tool calls are answered by tool messages, right behind them; there is none for {ids}")


def _to_assistant_messages(message: message_types.AssistantMessage, field: str) -> list[Message]:
    """The calls that the server ran and their results come first, as the message's text is based on them."""
    server_calls = message.mcp_calls or []
    converted: list[Message] = []
    if server_calls:
        converted.append(Assistant(tool_calls=tuple(map(_to_tool_call, server_calls))))
        converted += [ToolResult(call_id=c.id, name=model_name(c.server_label, c.name), text=_output_text(c)) for c in server_calls]
    calls = tuple(ToolCall(id=c.id, name=c.function.name, arguments=c.function.arguments) for c in _function_calls(message))
    text, reasoning = _to_text(message.content, field) or message.refusal or "", _to_reasoning(message)
    if text or reasoning or calls or not (server_calls or message.mcp_approval_requests):
        converted.append(Assistant(text=text, reasoning=reasoning, tool_calls=calls, name=message.name))
    return converted


def _to_reasoning(message: message_types.AssistantMessage) -> str:
    """By the first of its names: a message that has several says the same by each."""
    blocks = [str(block.get("thinking") or "") for block in message.thinking_blocks or ()]
    return message.reasoning_content or message.reasoning or "\n".join(filter(None, blocks))


def _to_tool_call(call: tools.McpCall) -> ToolCall:
    return ToolCall(id=call.id, name=model_name(call.server_label, call.name), arguments=call.arguments)


def _function_calls(message: message_types.AssistantMessage) -> list[tools.ToolCall]:
    """All of the message's tool calls: the wire type has refused those of other types."""
    return [call for call in message.tool_calls or () if isinstance(call, tools.ToolCall)]


def _output_text(call: tools.McpCall) -> str:
    return call.error.message if call.error else call.output or ""
