"""/tokenize and /detokenize: see what a model sees."""

from starlette.types import Send

from server.api.chat_completions.request import sayings
from server.api.system import tokenize_types as wire
from server.core.errors import bad
from server.core.threads import offloaded
from server.http.context import Call
from server.http.endpoint import Endpoint
from server.http.handlers import speaking
from server.http.sse import send_json
from server.runtime.runtime import Served
from server.runtime.state import House
from server.text.render import render


def endpoints(house: House) -> list[Endpoint]:
    async def split(call: Call, body: wire.TokenizeRequest, send: Send) -> None:
        await tokenize(call.served, body, send)

    async def join(call: Call, body: wire.DetokenizeRequest, send: Send) -> None:
        await detokenize(call.served, body, send)

    return [
        speaking(house, split, "/tokenize", "The tokens of a prompt or conversation", wire.TokenizeRequest, wire.TokenizeResponse),
        speaking(house, join, "/detokenize", "The text of tokens", wire.DetokenizeRequest, wire.DetokenizeResponse),
    ]


async def tokenize(served: Served, body: wire.TokenizeRequest, send: Send) -> None:
    served.expect(body.model)
    if (body.prompt is None) == (body.messages is None):
        raise bad("prompt", "prompt, messages: exactly one of them is needed")
    tokens = await offloaded(len(body.prompt or ""), _tokens, served, body)
    answer = wire.TokenizeResponse(tokens=list(tokens), count=len(tokens), max_model_len=served.engine.info.context)
    await send_json(send, 200, answer.model_dump_json().encode())


async def detokenize(served: Served, body: wire.DetokenizeRequest, send: Send) -> None:
    served.expect(body.model)
    vocab = served.engine.info.vocab
    if outside := [token for token in body.tokens if token >= vocab]:
        raise bad("tokens", f"tokens: there is no token {outside[0]}; the vocabulary has {vocab}")
    prompt = await offloaded(len(body.tokens), served.text.decode, body.tokens)
    await send_json(send, 200, wire.DetokenizeResponse(prompt=prompt).model_dump_json().encode())


def _tokens(served: Served, body: wire.TokenizeRequest) -> tuple[int, ...]:
    if body.messages is not None:
        return render(served.text, sayings(body.messages), (), {}).tokens
    return served.text.encode(body.prompt or "", control=body.parse_special, special=body.add_special_tokens)
