"""What of a conversation an encoder-decoder can do: read a text and answer it. Everything else is refused by name."""

from dataclasses import replace

from server.core.errors import bad_request
from server.core.messages import Assistant, ToolResult
from server.core.request import GenerationRequest, RequestWarning
from server.text.encoder_decoder import conversation
from server.text.encoder_decoder.reading import EncoderDecoder
from server.text.tokenizer import ChatTokenizer

WHY = "this model reads a text and answers it"


def as_read(request: GenerationRequest, tokenizer: ChatTokenizer, model: EncoderDecoder) -> GenerationRequest:
    """The request, with warnings for messages that make no difference, and without a search in the server's default store. Raises
    ApiError."""
    _expect_possible(request)
    if request.response_format is not None:
        expect_grammars(model, request.field_names.response_format)
    if tokenizer.template is not None:
        return replace(request, file_search=None)
    messages = request.messages
    continued = request.prompt_end == "continued" and messages and isinstance(messages[-1], Assistant)
    why = conversation.unread(model, messages[:-1] if continued else messages)
    field = request.field_names.messages
    told = () if why is None else (RequestWarning(param=field, message=f"{field}: {why}"),)
    return replace(request, file_search=None, warnings=(*request.warnings, *told))


def expect_grammars(model: EncoderDecoder, field: str) -> None:
    """Raises ApiError."""
    if not model.takes_grammars:
        raise bad_request(field, f"{field}: {WHY} in tokens that cannot be held to a format", "unsupported")


def _expect_possible(request: GenerationRequest) -> None:
    fields = request.field_names
    if request.tools or request.mcp_servers or request.approval_decisions:
        raise bad_request(fields.tools, f"{fields.tools}: {WHY}: it calls no tools", "unsupported")
    if any(isinstance(message, ToolResult) or (isinstance(message, Assistant) and message.tool_calls) for message in request.messages):
        raise bad_request(fields.messages, f"{fields.messages}: {WHY}: it calls no tools, and knows nothing of calls", "unsupported")
    if request.file_search is not None and request.file_search.requested:
        raise bad_request(fields.file_search, f"{fields.file_search}: {WHY}: it was not made to answer from documents", "unsupported")
    if request.prompt_logprobs is not None:
        raise bad_request("prompt_logprobs", f"prompt_logprobs: {WHY}: nothing predicts the tokens that it reads", "unsupported")
