"""What a request asks of the engine: from wire types to engine.api. Refuses what cannot be honoured."""

from engine.api import ModelInfo, Sampling
from server.core.errors import ApiError, bad_request
from server.core.request import SamplingFields

INT64 = 2**63
COLD = 1e-4  # a logit that is less by 0.01 has e^-100 of the probability


def sampling(
    knobs: SamplingFields, index: int, *, info: ModelInfo, ends: frozenset[int], max_tokens: int, logprobs: int | None
) -> Sampling:
    """For the `index`-th of a prompt's sequences."""
    return Sampling(
        max_tokens=max_tokens,
        temperature=_temperature(knobs.temperature),
        top_p=1.0 if knobs.top_p is None else knobs.top_p,
        top_k=knobs.top_k or 0,
        min_p=knobs.min_p or 0.0,
        presence_penalty=knobs.presence_penalty or 0.0,
        frequency_penalty=knobs.frequency_penalty or 0.0,
        repetition_penalty=knobs.repetition_penalty or 1.0,
        logit_bias=_bias(knobs, info.vocab),
        seed=None if knobs.seed is None else (knobs.seed + index + INT64) % (2 * INT64) - INT64,
        stop_tokens=frozenset() if knobs.ignore_eos else ends,
        logprobs=logprobs,
    )


def room(info: ModelInfo, prompt: int, field: str) -> int:
    """Tokens that the context leaves for the answer. Raises ApiError when there are none."""
    if prompt == 0:
        raise bad_request(field, f"{field}: the prompt is empty")
    if prompt >= info.context:
        raise too_long(field, f"the prompt has {prompt} tokens, the model's context is {info.context} tokens, prompt and answer together")
    return info.context - prompt


def too_long(field: str, message: str) -> ApiError:
    return bad_request(field, message, "context_length_exceeded")


def _temperature(asked: float | None) -> float:
    """It divides logits: what is all but greedy is greedy."""
    return 1.0 if asked is None else 0.0 if asked < COLD else asked


def _bias(knobs: SamplingFields, vocab: int) -> tuple[tuple[int, float], ...]:
    bias = tuple((int(token), value) for token, value in (knobs.logit_bias or {}).items())
    if outside := [token for token, _ in bias if token >= vocab]:
        raise bad_request("logit_bias", f"logit_bias: there is no token {outside[0]}; the vocabulary has {vocab}")
    return bias
