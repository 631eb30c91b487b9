"""Log probabilities as the two endpoints write them."""

import math
from collections.abc import Sequence

from server.api.common.types import TokenLogprob, TopLogprob
from server.core.events import LoggedToken
from server.text.tokenizer import ChatTokenizer

MIN_LOGPROB = -9999.0  # OpenAI's word for a probability of zero


def chat_logprobs(text: ChatTokenizer, logged: Sequence[LoggedToken]) -> list[TokenLogprob]:
    return [_chosen(text, entry) for entry in logged]


def _chosen(text: ChatTokenizer, entry: LoggedToken) -> TokenLogprob:
    token = entry.token
    return TokenLogprob(
        token=token_text(text, token.token),
        logprob=finite_logprob(token.logprob),
        bytes=list(text.token_bytes[token.token]),
        top_logprobs=[
            TopLogprob(token=token_text(text, t), logprob=finite_logprob(p), bytes=list(text.token_bytes[t])) for t, p in token.top
        ],
    )


def token_text(text: ChatTokenizer, token: int) -> str:
    return text.token_bytes[token].decode(errors="replace")


def finite_logprob(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else MIN_LOGPROB
