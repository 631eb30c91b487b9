"""Log probabilities in the format of chat completions and of vLLM, and what legacy completions share of it."""

import math
from collections.abc import Sequence

from pydantic import BaseModel

from engine.api import TokenLogprob as EngineLogprob
from server.api.common.types import TokenLogprob, TopLogprob
from server.core.events import LoggedToken
from server.text.tokenizer import ChatTokenizer

MIN_LOGPROB = -9999.0  # OpenAI's value for a probability of zero


class PromptLogprob(BaseModel):
    """`rank`: 1 is the most likely token; null where it is not known, as the token is not among the most likely."""

    logprob: float
    rank: int | None
    decoded_token: str


PromptLogprobs = list[dict[str, PromptLogprob] | None]  # for each token of the prompt, by id; null for the first


def chat_logprobs(tokenizer: ChatTokenizer, logged: Sequence[LoggedToken], *, as_ids: bool = False) -> list[TokenLogprob]:
    """`as_ids`: tokens are written as token_id:ID."""
    return [_to_logprob(tokenizer, entry, as_ids=as_ids) for entry in logged]


def prompt_logprobs(tokenizer: ChatTokenizer, logprobs: Sequence[EngineLogprob]) -> PromptLogprobs:
    """`logprobs`: of the second to the last token."""
    return [None, *(_to_prompt_logprob(tokenizer, entry) for entry in logprobs)]


def _to_logprob(tokenizer: ChatTokenizer, entry: LoggedToken, *, as_ids: bool) -> TokenLogprob:
    token = entry.token
    return TokenLogprob(
        token=token_text(tokenizer, token.token, as_ids=as_ids),
        logprob=finite_logprob(token.logprob),
        bytes=list(tokenizer.token_bytes[token.token]),
        top_logprobs=[
            TopLogprob(token=token_text(tokenizer, id, as_ids=as_ids), logprob=finite_logprob(p), bytes=list(tokenizer.token_bytes[id]))
            for id, p in token.top
        ],
    )


def _to_prompt_logprob(tokenizer: ChatTokenizer, entry: EngineLogprob) -> dict[str, PromptLogprob]:
    ranks = {token: rank for rank, (token, _) in enumerate(entry.top, 1)}
    found = {entry.token: entry.logprob, **dict(entry.top)}
    return {
        str(token): PromptLogprob(logprob=finite_logprob(p), rank=ranks.get(token), decoded_token=token_text(tokenizer, token))
        for token, p in found.items()
    }


def token_text(tokenizer: ChatTokenizer, token: int, *, as_ids: bool = False) -> str:
    return f"token_id:{token}" if as_ids else tokenizer.token_bytes[token].decode(errors="replace")


def finite_logprob(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else MIN_LOGPROB
