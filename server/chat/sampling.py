"""From a request's sampling parameters to the engine's, and the check that the prompt fits the context."""

from collections.abc import Sequence
from typing import TypeVar

from engine.api import ModelInfo, Sampling
from server.core.errors import ApiError, bad_request
from server.core.request import SamplingParams
from server.runtime.runtime import Runtime
from server.text.grammars.bad_words import bad_word_tokens
from server.text.prompt import Prompt
from server.text.tokenizer import ChatTokenizer

N = TypeVar("N", int, float)
INT64 = 2**63
MAX_BIAS = 4096  # tokens of all texts of a logit_bias
GREEDY_BELOW = 1e-4  # a logit that is less by 0.01 has e^-100 of the probability


def engine_sampling(
    params: SamplingParams,
    index: int,
    *,
    info: ModelInfo,
    tokenizer: ChatTokenizer,
    max_tokens: int,
    logprobs: int | None,
    prompt_logprobs: int | None = None,
) -> Sampling:
    """The engine's parameters for the `index`-th sequence of a prompt. Raises ApiError."""
    _expect_tokens("stop_token_ids", params.stop_token_ids, info.vocab)
    standard = tokenizer.sampling
    own_ends = frozenset[int]() if params.ignore_eos else tokenizer.stop_tokens
    return Sampling(
        max_tokens=max_tokens,
        min_tokens=min(params.min_tokens or 0, max_tokens),
        temperature=_temperature(_or(params.temperature, standard.temperature)),
        top_p=_or(params.top_p, standard.top_p),
        top_k=max(_or(params.top_k, standard.top_k), 0),
        min_p=_or(params.min_p, standard.min_p),
        presence_penalty=params.presence_penalty or 0.0,
        frequency_penalty=params.frequency_penalty or 0.0,
        repetition_penalty=params.repetition_penalty or standard.repetition_penalty,
        logit_bias=_bias(params, tokenizer, info.vocab),
        seed=None if params.seed is None else (params.seed + index + INT64) % (2 * INT64) - INT64,
        stop_tokens=own_ends | frozenset(params.stop_token_ids),
        bad_words=_bad_words(tokenizer, params.bad_words),
        denoising=params.denoising,
        logprobs=logprobs,
        prompt_logprobs=prompt_logprobs,
    )


def tokens_left(info: ModelInfo, prompt: Prompt, field: str) -> int:
    """Tokens that the context leaves for the answer. Raises ApiError if there are none, and for more than an encoder reads."""
    if not prompt.length:
        raise bad_request(field, f"{field}: the prompt is empty")
    if info.reader is not None and len(prompt.encoder) > info.reader.context:
        raise too_long(field, f"the prompt has {len(prompt.encoder)} tokens, the model reads {info.reader.context} tokens at most")
    if (begun := len(prompt.tokens)) >= info.context:
        what = "prompt" if info.reader is None else "beginning of the answer"
        told = f"the {what} has {begun} tokens, the model's context is {info.context} tokens, prompt and answer together"
        raise too_long(field, told)
    return info.context - begun


def expect_room(runtime: Runtime, characters: int, field: str) -> None:
    """Raises ApiError for a text that cannot fit into the context, whatever its tokens are; encoding it would take long."""
    info = runtime.engine.info
    context = info.context if info.reader is None else info.reader.context
    if not runtime.tokenizer.fits(characters, context):
        raise too_long(field, f"the prompt has {characters} characters: more than fit into the model's context of {context} tokens")


def too_long(field: str, message: str) -> ApiError:
    return bad_request(field, message, "context_length_exceeded")


def _or(requested: N | None, standard: N) -> N:
    return standard if requested is None else requested


def _temperature(wanted: float) -> float:
    """Logits are divided by it: what is almost 0 is greedy."""
    return 0.0 if wanted < GREEDY_BELOW else wanted


def _bias(params: SamplingParams, tokenizer: ChatTokenizer, vocab: int) -> tuple[tuple[int, float], ...]:
    bias = list[tuple[int, float]]()
    for token, value in params.logit_bias:
        bias += [(id, value) for id in ((token,) if isinstance(token, int) else tokenizer.encode(token))]
    if len(bias) > MAX_BIAS:
        raise bad_request("logit_bias", f"logit_bias: its texts have {len(bias)} tokens; the limit is {MAX_BIAS}")
    _expect_tokens("logit_bias", [token for token, _ in bias], vocab)
    return tuple(dict(bias).items())


def _expect_tokens(field: str, tokens: Sequence[int], vocab: int) -> None:
    if outside := [token for token in tokens if not 0 <= token < vocab]:
        raise bad_request(field, f"{field}: there is no token {outside[0]}; the vocabulary has {vocab}")


def _bad_words(tokenizer: ChatTokenizer, words: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    try:
        return bad_word_tokens(tokenizer, words)
    except ValueError as error:
        raise bad_request("bad_words", f"bad_words: {error}") from error
