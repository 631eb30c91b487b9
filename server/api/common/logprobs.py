"""Log probabilities as the two endpoints write them."""

import math
from collections.abc import Sequence

from server.api.common.types import TokenLogprob, TopLogprob
from server.core.events import LoggedToken
from server.text.tokenizer import ChatTokenizer

LEAST = -9999.0  # OpenAI's word for a probability of zero


def chat_logprobs(text: ChatTokenizer, logged: Sequence[LoggedToken]) -> list[TokenLogprob]:
    return [_chosen(text, entry) for entry in logged]


def _chosen(text: ChatTokenizer, entry: LoggedToken) -> TokenLogprob:
    token = entry.token
    return TokenLogprob(
        token=written(text, token.token),
        logprob=finite(token.logprob),
        bytes=list(text.token_bytes[token.token]),
        top_logprobs=[TopLogprob(token=written(text, t), logprob=finite(p), bytes=list(text.token_bytes[t])) for t, p in token.top],
    )


def written(text: ChatTokenizer, token: int) -> str:
    return text.token_bytes[token].decode(errors="replace")


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST
