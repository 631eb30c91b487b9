"""Log probabilities as legacy completions write them."""

from collections.abc import Sequence

from server.api.common.logprobs import finite_logprob, token_text
from server.api.completions.types import CompletionLogprobs
from server.core.events import LoggedToken
from server.text.tokenizer import ChatTokenizer


def completion_logprobs(text: ChatTokenizer, logged: Sequence[LoggedToken], shift: int) -> CompletionLogprobs:
    """`shift`: characters in front of the generated text."""
    return CompletionLogprobs(
        tokens=[token_text(text, entry.token.token) for entry in logged],
        token_logprobs=[finite_logprob(entry.token.logprob) for entry in logged],
        top_logprobs=[_most_likely(text, entry) for entry in logged],
        text_offset=[entry.offset + shift for entry in logged],
    )


def _most_likely(text: ChatTokenizer, entry: LoggedToken) -> dict[str, float]:
    """With the chosen token, which need not be among them. Of tokens that look the same, the likelier."""
    likely: dict[str, float] = {}
    for token, logprob in (*entry.token.top, (entry.token.token, entry.token.logprob)):
        likely.setdefault(token_text(text, token), finite_logprob(logprob))
    return likely
