"""GET /tokenizer_info, an extension in the format of vLLM: what programs need that work with token ids and prompts by themselves."""

from functools import partial

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.http.endpoint import Endpoint
from server.http.handlers import status_endpoint
from server.http.sse import send_json
from server.runtime.state import ServerState


class TokenizerInfo(BaseModel):
    """Named as in tokenizer_config.json."""

    bos_token: str | None
    eos_token: str | None  # one that ends an answer
    pad_token: str | None
    unk_token: str | None
    chat_template: str | None  # null: the model only completes text
    model_max_length: int  # tokens of prompt and answer together


def endpoints(state: ServerState) -> list[Endpoint]:
    return [status_endpoint("/tokenizer_info", "Special tokens and chat template", partial(_info, state), TokenizerInfo, errors=(503,))]


async def _info(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    runtime = state.expect_ready()
    tokenizer, names = runtime.tokenizer, runtime.tokenizer.named_tokens
    ends = sorted(tokenizer.stop_tokens)
    info = TokenizerInfo(
        bos_token=names.get("bos_token"),
        eos_token=names.get("eos_token") or (tokenizer.decode(ends[:1]) if ends else None),
        pad_token=names.get("pad_token"),
        unk_token=names.get("unk_token"),
        chat_template=tokenizer.template.source if tokenizer.template else None,
        model_max_length=runtime.engine.info.context,
    )
    await send_json(send, 200, info.model_dump_json().encode())
