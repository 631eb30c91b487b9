"""Log probabilities as the two endpoints write them."""

import math
from collections.abc import Sequence

from server.openai.chat import TokenLogprob, TopLogprob
from server.openai.completions import CompletionLogprobs
from server.reply import Logged
from server.text import Text

LEAST = -9999.0  # OpenAI's word for a probability of zero


def chat_logprobs(text: Text, logged: Sequence[Logged]) -> list[TokenLogprob]:
    return [_chosen(text, entry) for entry in logged]


def completion_logprobs(text: Text, logged: Sequence[Logged], shift: int) -> CompletionLogprobs:
    """`shift`: characters in front of the generated text."""
    return CompletionLogprobs(
        tokens=[_written(text, entry.token.token) for entry in logged],
        token_logprobs=[_finite(entry.token.logprob) for entry in logged],
        top_logprobs=[_most_likely(text, entry) for entry in logged],
        text_offset=[entry.offset + shift for entry in logged],
    )


def _chosen(text: Text, entry: Logged) -> TokenLogprob:
    token = entry.token
    return TokenLogprob(
        token=_written(text, token.token),
        logprob=_finite(token.logprob),
        bytes=list(text.spelled[token.token]),
        top_logprobs=[TopLogprob(token=_written(text, t), logprob=_finite(p), bytes=list(text.spelled[t])) for t, p in token.top],
    )


def _most_likely(text: Text, entry: Logged) -> dict[str, float]:
    """With the chosen token, which need not be among them. Of tokens that look the same, the likelier."""
    likely: dict[str, float] = {}
    for token, logprob in (*entry.token.top, (entry.token.token, entry.token.logprob)):
        likely.setdefault(_written(text, token), _finite(logprob))
    return likely


def _written(text: Text, token: int) -> str:
    return text.spelled[token].decode(errors="replace")


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST
