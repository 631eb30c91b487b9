"""Log probabilities in the format of chat completions, and what legacy completions share of it."""

import math
from collections.abc import Sequence

from server.api.common.types import TokenLogprob, TopLogprob
from server.core.events import LoggedToken
from server.text.tokenizer import ChatTokenizer

MIN_LOGPROB = -9999.0  # OpenAI's value for a probability of zero


def chat_logprobs(tokenizer: ChatTokenizer, logged: Sequence[LoggedToken]) -> list[TokenLogprob]:
    return [_to_logprob(tokenizer, entry) for entry in logged]


def _to_logprob(tokenizer: ChatTokenizer, entry: LoggedToken) -> TokenLogprob:
    token = entry.token
    return TokenLogprob(
        token=token_text(tokenizer, token.token),
        logprob=finite_logprob(token.logprob),
        bytes=list(tokenizer.token_bytes[token.token]),
        top_logprobs=[
            TopLogprob(token=token_text(tokenizer, id), logprob=finite_logprob(p), bytes=list(tokenizer.token_bytes[id]))
            for id, p in token.top
        ],
    )


def token_text(tokenizer: ChatTokenizer, token: int) -> str:
    return tokenizer.token_bytes[token].decode(errors="replace")


def finite_logprob(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else MIN_LOGPROB
