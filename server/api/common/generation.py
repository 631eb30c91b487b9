"""Mapping the request fields that several APIs share."""

import re

from engine.api import Denoising
from server.api.common.generation_types import DenoisingFields, GenerationFields, LogitBias, SamplingFields
from server.api.common.llamacpp_types import LlamaCppFields
from server.api.common.vllm_types import VllmFields
from server.core.errors import bad_request
from server.core.request import NO_BEAMS, BeamParams, OutputOptions, SamplingParams
from server.text.encoder_decoder.defaults import UNTIL

NUMBER = re.compile(r"-?[0-9]{1,18}")
NEVER = -100.0


def sampling_params(body: SamplingFields) -> SamplingParams:
    return SamplingParams(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=_repetition_penalty(body),
        seed=body.seed,
        logit_bias=_logit_bias(body.logit_bias) if isinstance(body, GenerationFields) else (),
        ignore_eos=body.ignore_eos if isinstance(body, GenerationFields) else None,
        min_tokens=body.min_tokens,
        stop_token_ids=tuple(body.stop_token_ids or ()),
        bad_words=tuple(body.bad_words or ()),
        priority=body.priority,
        beams=_beams(body) if isinstance(body, VllmFields) else NO_BEAMS,
        denoising=None if body.denoising is None else _denoising(body.denoising),
        speculative=body.speculative is not False,
    )


def _denoising(given: DenoisingFields) -> Denoising:
    usual = Denoising()
    return Denoising(
        block=given.block_length,
        steps=given.steps,
        threshold=given.threshold,
        order=given.order or usual.order,
        canvas=given.canvas_length or usual.canvas,
    )


def _beams(body: VllmFields) -> BeamParams:
    """Raises ApiError."""
    width = body.beam_width
    if body.use_beam_search and width in (None, 1):
        raise bad_request("use_beam_search", "use_beam_search: say in beam_width how many beams; n is the number of answers")
    if body.use_beam_search is False and width not in (None, 1):
        raise bad_request("use_beam_search", "use_beam_search and beam_width say different things; send one")
    until = None if body.early_stopping is None else UNTIL[body.early_stopping]
    return BeamParams(width=1 if body.use_beam_search is False else width, length_penalty=body.length_penalty, until=until)


def _repetition_penalty(body: SamplingFields) -> float | None:
    """By either of its names. Raises ApiError for two values."""
    if not isinstance(body, LlamaCppFields) or body.repeat_penalty is None:
        return body.repetition_penalty
    if body.repetition_penalty not in (None, body.repeat_penalty):
        raise bad_request("repeat_penalty", "repeat_penalty and repetition_penalty say different things; send one")
    return body.repeat_penalty


def _logit_bias(given: LogitBias) -> tuple[tuple[int | str, float], ...]:
    pairs = given.items() if isinstance(given, dict) else given or ()
    return tuple((_token(token), NEVER if bias is False else bias) for token, bias in pairs)


def _token(given: int | str) -> int | str:
    """A token's number, or a text."""
    return int(given) if isinstance(given, int) or NUMBER.fullmatch(given) else given


def output_options(body: GenerationFields) -> OutputOptions:
    return OutputOptions(
        stop=stop_strings(body),
        include_stop=body.include_stop_str_in_output is True,
        show_special_tokens=body.skip_special_tokens is False,
    )


def stop_strings(body: GenerationFields) -> tuple[str, ...]:
    return () if body.stop is None else (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def wants_stream_usage(body: GenerationFields) -> bool:
    """Whether the stream ends with a usage chunk. Raises ApiError for stream_options without stream."""
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options", "stream_options is only allowed with stream: true")
    return bool(body.stream_options and body.stream_options.include_usage)
