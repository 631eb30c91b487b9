"""Log probabilities as the two endpoints write them."""

import math
from collections.abc import Sequence

from server.api.common.types import TokenLogprob, TopLogprob
from server.core.events import Logged
from server.text.tokenizer import Text

LEAST = -9999.0  # OpenAI's word for a probability of zero


def chat_logprobs(text: Text, logged: Sequence[Logged]) -> list[TokenLogprob]:
    return [_chosen(text, entry) for entry in logged]


def _chosen(text: Text, entry: Logged) -> TokenLogprob:
    token = entry.token
    return TokenLogprob(
        token=written(text, token.token),
        logprob=finite(token.logprob),
        bytes=list(text.spelled[token.token]),
        top_logprobs=[TopLogprob(token=written(text, t), logprob=finite(p), bytes=list(text.spelled[t])) for t, p in token.top],
    )


def written(text: Text, token: int) -> str:
    return text.spelled[token].decode(errors="replace")


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST
