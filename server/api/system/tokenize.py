"""POST /tokenize and /detokenize: the tokens of a prompt or conversation, and the text of tokens."""

from collections.abc import Sequence

from starlette.types import Send

from server.api.chat_completions.messages import to_messages
from server.api.system import tokenize_types as wire
from server.chat.sampling import expect_room
from server.core.errors import bad_request
from server.core.messages import Message
from server.core.threads import in_thread_if_large
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_stream_endpoint
from server.http.sse import send_json
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState
from server.text.render import count_characters, render


def endpoints(state: ServerState) -> list[Endpoint]:
    async def handle_tokenize(context: RequestContext, body: wire.TokenizeRequest, send: Send) -> None:
        await tokenize(context.runtime, body, send)

    async def handle_detokenize(context: RequestContext, body: wire.DetokenizeRequest, send: Send) -> None:
        await detokenize(context.runtime, body, send)

    return [
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
    messages, text = None if body.messages is None else to_messages(body.messages), body.prompt or body.content or ""
    characters = len(text) if messages is None else count_characters(messages)
    expect_room(runtime, characters, "prompt" if messages is None else "messages")
    tokens = await in_thread_if_large(characters, _tokens, runtime, body, messages)
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


def _tokens(runtime: Runtime, body: wire.TokenizeRequest, messages: Sequence[Message] | None) -> tuple[int, ...]:
    if messages is not None:
        return render(runtime.tokenizer, messages, (), {}).tokens
    add_special = body.add_special_tokens if body.add_special is None else body.add_special
    return runtime.tokenizer.encode(body.prompt or body.content or "", parse_special=body.parse_special, add_special=add_special)


def _piece(token: int, name: bytes) -> wire.TokenPiece:
    try:
        return wire.TokenPiece(id=token, piece=name.decode())
    except UnicodeDecodeError:
        return wire.TokenPiece(id=token, piece=list(name))
