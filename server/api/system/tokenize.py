"""POST /tokenize, /detokenize and /apply-template: the tokens of a prompt or conversation, the text of tokens, and of a conversation."""

from functools import partial

from starlette.types import Send

from server.api.chat_completions.messages import to_messages, to_prompt_end
from server.api.chat_completions.tools import to_tool
from server.api.system import tokenize_types as wire
from server.chat.sampling import expect_room
from server.chat.tools.toolset import ToolOffer
from server.chat.turn import render_prompt
from server.core.errors import bad_request
from server.core.request import GenerationRequest
from server.core.threads import in_thread_if_large
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, body_stream_endpoint
from server.http.sse import send_json
from server.runtime.runtime import Runtime
from server.runtime.seeing import with_seen_images
from server.runtime.state import ServerState

CHAT_FIELDS = frozenset({"tools", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"})


def endpoints(state: ServerState) -> list[Endpoint]:
    async def handle_tokenize(context: RequestContext, body: wire.TokenizeRequest, send: Send) -> None:
        await tokenize(context.runtime, body, send)

    async def handle_detokenize(context: RequestContext, body: wire.DetokenizeRequest, send: Send) -> None:
        await detokenize(context.runtime, body, send)

    async def handle_template(context: RequestContext, body: wire.Conversation) -> wire.TemplateResponse:
        return await apply_template(context.runtime, body)

    return [
        body_endpoint(
            state, handle_template, "/apply-template", "A conversation as the model reads it", wire.Conversation, wire.TemplateResponse
        ),
        body_stream_endpoint(
            state, handle_tokenize, "/tokenize", "The tokens of a prompt or conversation", wire.TokenizeRequest, wire.TokenizeResponse
        ),
        body_stream_endpoint(
            state, handle_detokenize, "/detokenize", "The text of tokens", wire.DetokenizeRequest, wire.DetokenizeResponse
        ),
    ]


async def tokenize(runtime: Runtime, body: wire.TokenizeRequest, send: Send) -> None:
    runtime.expect_model(body.model)
    if [body.prompt, body.content, body.messages].count(None) != 2:
        raise bad_request("prompt", "prompt, content, messages: exactly one of them is needed")
    if body.messages is None and (given := body.model_fields_set & CHAT_FIELDS):
        raise bad_request(min(given), f"{min(given)}: it says how messages become a prompt, and there are none")
    tokens = await (_text_tokens(runtime, body) if body.messages is None else _chat_tokens(runtime, body))
    names = runtime.tokenizer.token_bytes
    answer = wire.TokenizeResponse(
        tokens=[_piece(token, names[token]) for token in tokens] if body.with_pieces else list(tokens),
        count=len(tokens),
        max_model_len=runtime.engine.info.context,
        token_strs=[names[token].decode(errors="replace") for token in tokens] if body.return_token_strs else None,
    )
    await send_json(send, 200, answer.model_dump_json().encode())


async def detokenize(runtime: Runtime, body: wire.DetokenizeRequest, send: Send) -> None:
    runtime.expect_model(body.model)
    vocab = runtime.engine.info.vocab
    if outside := [token for token in body.tokens if token >= vocab]:
        raise bad_request("tokens", f"tokens: there is no token {outside[0]}; the vocabulary has {vocab}")
    prompt = await in_thread_if_large(len(body.tokens), runtime.tokenizer.decode, body.tokens)
    await send_json(send, 200, wire.DetokenizeResponse(prompt=prompt, content=prompt).model_dump_json().encode())


async def apply_template(runtime: Runtime, body: wire.Conversation) -> wire.TemplateResponse:
    """As llama.cpp's server has it."""
    runtime.expect_model(body.model)
    if body.messages is None:
        raise bad_request("messages", "messages: they are needed")
    tokens = await _chat_tokens(runtime, body)
    return wire.TemplateResponse(prompt=await in_thread_if_large(len(tokens), runtime.tokenizer.decode, tokens))


async def _text_tokens(runtime: Runtime, body: wire.TokenizeRequest) -> tuple[int, ...]:
    text = body.prompt or body.content or ""
    add_special = body.add_special_tokens if body.add_special is None else body.add_special
    expect_room(runtime, len(text), "prompt")
    encode = partial(runtime.tokenizer.encode, text, parse_special=body.parse_special, add_special=add_special)
    return await in_thread_if_large(len(text), encode)


async def _chat_tokens(runtime: Runtime, body: wire.Conversation) -> tuple[int, ...]:
    """As /v1/chat/completions would send them to the model. Raises ApiError."""
    messages = body.messages or []
    tools = tuple(to_tool(tool.function, f"tools.{place}") for place, tool in enumerate(body.tools or ()))
    request = GenerationRequest(
        model=body.model,
        messages=await with_seen_images(runtime, to_messages(messages)),
        tools=tools,
        template_kwargs=body.chat_template_kwargs or {},
        prompt_end=to_prompt_end(messages, continued=body.continue_final_message, generation=body.add_generation_prompt),
    )
    return (await render_prompt(runtime, request, request.messages, ToolOffer(tools=tools, choice="auto"))).text


def _piece(token: int, name: bytes) -> wire.TokenPiece:
    try:
        return wire.TokenPiece(id=token, piece=name.decode())
    except UnicodeDecodeError:
        return wire.TokenPiece(id=token, piece=list(name))
