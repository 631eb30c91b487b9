"""Log probabilities in the format of legacy completions."""

from collections.abc import Iterator, Sequence

from engine.api import TokenLogprob
from server.api.common.logprobs import finite_logprob, token_text
from server.api.completions.types import CompletionLogprobs
from server.core.events import LoggedToken
from server.text.detokenize import Detokenizer
from server.text.tokenizer import ChatTokenizer


def completion_logprobs(tokenizer: ChatTokenizer, logged: Sequence[LoggedToken], offset: int, *, as_ids: bool) -> CompletionLogprobs:
    """`offset`: characters before the generated text (an echoed prompt). `as_ids`: tokens are written as token_id:ID."""
    return CompletionLogprobs(
        tokens=[token_text(tokenizer, entry.token.token, as_ids=as_ids) for entry in logged],
        token_logprobs=[finite_logprob(entry.token.logprob) for entry in logged],
        top_logprobs=[_top_logprobs(tokenizer, entry.token, as_ids=as_ids) for entry in logged],
        text_offset=[entry.offset + offset for entry in logged],
    )


def echoed_logprobs(
    tokenizer: ChatTokenizer, prompt: Sequence[int], echo: str, logprobs: Sequence[TokenLogprob], *, as_ids: bool
) -> CompletionLogprobs:
    """Of a prompt, echoed as `echo`. Nothing is known of its first token; `logprobs` are those of the others."""
    offsets = list(_offsets(tokenizer, prompt, echo))
    return CompletionLogprobs(
        tokens=[token_text(tokenizer, token, as_ids=as_ids) for token in prompt],
        token_logprobs=[None, *(finite_logprob(entry.logprob) for entry in logprobs)],
        top_logprobs=[None, *(_top_logprobs(tokenizer, entry, as_ids=as_ids) for entry in logprobs)],
        text_offset=offsets,
    )


def _offsets(tokenizer: ChatTokenizer, prompt: Sequence[int], echo: str) -> Iterator[int]:
    """Characters of `echo` before each token. Control tokens are in it where they were written in the prompt, not where the tokenizer has
    added them."""
    text, offset = Detokenizer(tokenizer.token_bytes), 0
    for token in prompt:
        yield offset
        shown = text.push(token)
        is_added = not tokenizer.visible_bytes[token] and not echo.startswith(shown, offset)
        offset += 0 if is_added else len(shown)


def joined_logprobs(first: CompletionLogprobs, second: CompletionLogprobs) -> CompletionLogprobs:
    return CompletionLogprobs(
        tokens=first.tokens + second.tokens,
        token_logprobs=first.token_logprobs + second.token_logprobs,
        top_logprobs=first.top_logprobs + second.top_logprobs,
        text_offset=first.text_offset + second.text_offset,
    )


def _top_logprobs(tokenizer: ChatTokenizer, token: TokenLogprob, *, as_ids: bool) -> dict[str, float]:
    """With the token itself, which may not be among the most likely ones. Of tokens with equal text the likelier counts."""
    logprobs: dict[str, float] = {}
    for other, logprob in (*token.top, (token.token, token.logprob)):
        logprobs.setdefault(token_text(tokenizer, other, as_ids=as_ids), finite_logprob(logprob))
    return logprobs
