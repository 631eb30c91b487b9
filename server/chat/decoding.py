"""What a request to the engine gets from the model it is for: what an encoder-decoder reads, how its checkpoint wants answers generated,
and beams."""

from dataclasses import replace

from engine.api import Beams, ReadsFrames, Request, Sampling
from server.core.errors import ApiError, bad_request
from server.core.request import SamplingParams
from server.runtime.runtime import Runtime
from server.text.encoder_decoder.defaults import Defaults
from server.text.prompt import Prompt


def with_decoding(runtime: Runtime, request: Request, prompt: Prompt, params: SamplingParams, count: int = 1) -> Request:
    """`count`: answers to the prompt. Raises ApiError for a beam search that is asked for and cannot be."""
    model = runtime.tokenizer.encoder_decoder
    searches = params.beams.width is not None and params.beams.width > 1  # without what the model wants of sampling
    own = 1.0 if searches else runtime.tokenizer.sampling.repetition_penalty
    defaults = Defaults(sampled=True, repetition_penalty=own) if model is None else model.defaults
    sampling = _with_defaults(request.sampling, params, defaults, prompt, count)
    request = replace(request, encoder=prompt.encoder, sampling=sampling)
    if request.grammar is not None and (sampling.forced_first, sampling.forced_last) != (None, None):
        request = _with_free_ends(request)
    return _with_beams(request, params, defaults, count)


def expect_text_reader(runtime: Runtime) -> None:
    """Raises ApiError 400 for a model whose encoder reads no text."""
    reader = runtime.engine.info.reader
    if reader is not None and isinstance(reader.reads, ReadsFrames):
        raise bad_request("model", "model: it reads sound, not text: use /v1/audio/transcriptions", "unsupported")


def _with_defaults(sampling: Sampling, params: SamplingParams, defaults: Defaults, prompt: Prompt, count: int) -> Sampling:
    samples = defaults.sampled or count > 1 or any(given is not None for given in (params.top_p, params.top_k, params.min_p, params.seed))
    greedy = params.temperature is None and (not samples or bool(params.beams.width))
    return replace(
        sampling,
        temperature=0.0 if greedy else sampling.temperature,
        min_tokens=min(defaults.min_tokens, sampling.max_tokens) if params.min_tokens is None else sampling.min_tokens,
        repetition_penalty=sampling.repetition_penalty if params.repetition_penalty else defaults.repetition_penalty,
        bad_words=(*sampling.bad_words, *defaults.bad_words),
        not_first=defaults.not_first,
        no_repeat=defaults.no_repeat,
        forced_first=prompt.forced_first,
        forced_last=None if params.ignore_eos else defaults.forced_last,
    )


def _with_free_ends(request: Request) -> Request:
    """A grammar says how an answer begins and ends; it knows of no language that is written first."""
    sampling = request.sampling
    if sampling.forced_first is None:
        return replace(request, sampling=replace(sampling, forced_last=None))
    tokens = (*request.tokens, sampling.forced_first)
    return replace(request, tokens=tokens, sampling=replace(sampling, forced_first=None, forced_last=None))


def _with_beams(request: Request, params: SamplingParams, defaults: Defaults, count: int) -> Request:
    given, clash = params.beams, _clash(request, count)
    width = given.width if given.width is not None else defaults.beams.width if defaults.beams else 1
    if given.width is None and clash is not None:
        width = 1
    if width == 1:
        if (name := given.needs_width) is not None:
            raise bad_request(name, f"{name}: no beams are searched: send beam_width, too")
        return request
    if clash is not None:
        raise _clashing(clash)
    usual = defaults.beams or Beams(width=width)
    penalty = usual.length_penalty if given.length_penalty is None else given.length_penalty
    beams = Beams(width=width, length_penalty=penalty, until=given.until or usual.until)
    return replace(request, sampling=replace(request.sampling, beams=beams))


def _clash(request: Request, count: int) -> str | None:
    """What a search of beams has no use for, or would have to do in another way, by the names of the API."""
    sampling = request.sampling
    given = {
        "a temperature other than 0": sampling.temperature != 0,
        "n or best_of above 1": count > 1,
        "a response format": request.grammar is not None,
        "a limit of thoughts": request.thoughts is not None,
        "logit_bias": bool(sampling.logit_bias),
        "presence_penalty": sampling.presence_penalty != 0,
        "frequency_penalty": sampling.frequency_penalty != 0,
        "repetition_penalty": sampling.repetition_penalty != 1,
        "logprobs": sampling.logprobs is not None,
        "prompt_logprobs": sampling.prompt_logprobs is not None,
        "max_tokens: 0": sampling.max_tokens == 0,
    }
    return next((name for name, is_given in given.items() if is_given), None)


def _clashing(clash: str) -> ApiError:
    return bad_request("beam_width", f"beam_width: it cannot be combined with {clash}: leave one of the two out", "unsupported")
