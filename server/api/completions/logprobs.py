"""Log probabilities in the format of legacy completions."""

from collections.abc import Sequence

from server.api.common.logprobs import finite_logprob, token_text
from server.api.completions.types import CompletionLogprobs
from server.core.events import LoggedToken
from server.text.tokenizer import ChatTokenizer


def completion_logprobs(tokenizer: ChatTokenizer, logged: Sequence[LoggedToken], offset: int) -> CompletionLogprobs:
    """`offset`: characters before the generated text (an echoed prompt)."""
    return CompletionLogprobs(
        tokens=[token_text(tokenizer, entry.token.token) for entry in logged],
        token_logprobs=[finite_logprob(entry.token.logprob) for entry in logged],
        top_logprobs=[_top_logprobs(tokenizer, entry) for entry in logged],
        text_offset=[entry.offset + offset for entry in logged],
    )


def _top_logprobs(tokenizer: ChatTokenizer, entry: LoggedToken) -> dict[str, float]:
    """With the sampled token, which may not be among the most likely ones. Of tokens with equal text the likelier counts."""
    logprobs: dict[str, float] = {}
    for token, logprob in (*entry.token.top, (entry.token.token, entry.token.logprob)):
        logprobs.setdefault(token_text(tokenizer, token), finite_logprob(logprob))
    return logprobs
