"""What a request asks of the engine: from wire types to engine.api. Refuses what cannot be honoured."""

import json

from engine.api import Choice, Grammar, JsonObject, JsonSchema, ModelInfo, Regex, Sampling
from server.errors import ApiError, bad
from server.openai.chat import ChatRequest
from server.openai.common import FormatJsonObject, FormatJsonSchema, StructuredOutputs
from server.openai.completions import CompletionRequest
from server.wish import Knobs

Body = ChatRequest | CompletionRequest
INT64 = 2**63
COLD = 1e-4  # a logit that is less by 0.01 has e^-100 of the probability


def sampling(knobs: Knobs, index: int, *, info: ModelInfo, ends: frozenset[int], max_tokens: int, logprobs: int | None) -> Sampling:
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


def grammar(body: Body) -> Grammar | None:
    """What the output must look like. Raises ApiError for two grammars, or one that may never end."""
    asked = [g for g in (_format(body), _structured(body.structured_outputs)) if g is not None]
    if len(asked) > 1:
        raise bad("structured_outputs", "structured_outputs and response_format exclude each other")
    if asked and body.ignore_eos:
        raise bad("ignore_eos", "ignore_eos cannot be combined with a response format: the format says where the answer ends")
    return asked[0] if asked else None


def grammar_field(body: Body) -> str:
    return "response_format" if body.structured_outputs is None else "structured_outputs"


def stops(body: Body) -> tuple[str, ...]:
    return () if body.stop is None else (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def room(info: ModelInfo, prompt: int, field: str) -> int:
    """Tokens that the context leaves for the answer. Raises ApiError when there are none."""
    if prompt == 0:
        raise bad(field, f"{field}: the prompt is empty")
    if prompt >= info.context:
        raise too_long(field, f"the prompt has {prompt} tokens, the model's context is {info.context} tokens, prompt and answer together")
    return info.context - prompt


def too_long(field: str, message: str) -> ApiError:
    return bad(field, message, "context_length_exceeded")


def expect_stream_options(body: Body) -> bool:
    """Whether the stream shall end with the usage. Raises ApiError for options without a stream."""
    if body.stream_options is not None and not body.stream:
        raise bad("stream_options", "stream_options is only allowed with stream: true")
    return bool(body.stream_options and body.stream_options.include_usage)


def _temperature(asked: float | None) -> float:
    """It divides logits: what is all but greedy is greedy."""
    return 1.0 if asked is None else 0.0 if asked < COLD else asked


def _format(body: Body) -> Grammar | None:
    match body.response_format:
        case FormatJsonSchema(json_schema=asked):
            return JsonSchema(schema=json.dumps(asked.schema_), lenient=asked.strict is not True)
        case FormatJsonObject():
            return JsonObject()
        case _:
            return None


def _structured(asked: StructuredOutputs | None) -> Grammar | None:
    if asked is None:
        return None
    found: list[Grammar] = []
    if asked.json_ is not None:
        found.append(JsonSchema(schema=json.dumps(asked.json_)))
    if asked.regex is not None:
        found.append(Regex(pattern=asked.regex))
    if asked.choice is not None:
        found.append(Choice(options=tuple(asked.choice)))
    if len(found) != 1:
        raise bad("structured_outputs", "structured_outputs takes exactly one of json, regex, choice")
    return found[0]


def _bias(knobs: Knobs, vocab: int) -> tuple[tuple[int, float], ...]:
    bias = tuple((int(token), value) for token, value in (knobs.logit_bias or {}).items())
    if outside := [token for token, _ in bias if token >= vocab]:
        raise bad("logit_bias", f"logit_bias: there is no token {outside[0]}; the vocabulary has {vocab}")
    return bias
