"""Mapping the request fields that several APIs share."""

from server.api.common.generation_types import GenerationFields, SamplingFields
from server.core.errors import bad_request
from server.core.request import SamplingParams


def sampling_params(body: SamplingFields) -> SamplingParams:
    return SamplingParams(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        seed=body.seed,
        logit_bias=body.logit_bias if isinstance(body, GenerationFields) else None,
        ignore_eos=body.ignore_eos if isinstance(body, GenerationFields) else None,
    )


def stop_strings(body: GenerationFields) -> tuple[str, ...]:
    return () if body.stop is None else (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def wants_stream_usage(body: GenerationFields) -> bool:
    """Whether the stream ends with a usage chunk. Raises ApiError for stream_options without stream."""
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options", "stream_options is only allowed with stream: true")
    return bool(body.stream_options and body.stream_options.include_usage)
