"""Between this project's requests and deltas and vLLM's parameters and outputs."""

from collections.abc import Mapping, Sequence

from vllm.inputs.engine import TokensInput, tokens_input
from vllm.logprobs import Logprob
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams

from engine.api import IDLE_PRIORITY, Request, Sampling, TokenLogprob, cache_salt
from engine.vllm.client.logits import PLAN
from engine.vllm.client.steering import Plan

LEAST_TOP_P = 1e-9  # vLLM takes no 0, which means the same: the likeliest token
SEEDS = 2**63  # vLLM takes no others, and not -1


def is_steered(request: Request) -> bool:
    """Whether vLLM's own sampler cannot choose the tokens as they are asked for. An answer in idle time is interrupted and goes on later:
    vLLM's sampler would then count anew, and draw what it has drawn."""
    sampling = request.sampling
    penalized = sampling.presence_penalty or sampling.frequency_penalty
    drawn = sampling.seed is not None and sampling.temperature > 0
    parted = request.priority >= IDLE_PRIORITY and bool(penalized or drawn)
    ordered = sampling.forced_first is not None or sampling.forced_last is not None
    forbidden = bool(sampling.bad_words or sampling.not_first or sampling.no_repeat or sampling.timestamps)
    return request.grammar is not None or request.thoughts is not None or forbidden or ordered or parted


def to_prompt(tokens: Sequence[int], request: Request) -> TokensInput:
    return tokens_input(list(tokens), cache_salt=cache_salt(request))


def to_params(sampling: Sampling, most: int, begun: int) -> SamplingParams:
    """Of an answer whose tokens vLLM chooses. `most`: tokens of the whole; `begun`: of those in the prompt."""
    seed = None if sampling.seed is None else sampling.seed % SEEDS
    return _params(
        sampling,
        most - begun,
        min_tokens=min(max(0, sampling.min_tokens - begun), most - begun),
        temperature=sampling.temperature,
        top_p=max(sampling.top_p, LEAST_TOP_P),
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logit_bias=_merged(sampling.logit_bias) or None,
        seed=seed,
    )


def to_steered_params(sampling: Sampling, plan: Plan) -> SamplingParams:
    return _params(sampling, plan.most - plan.generated, temperature=0.0, extra_args={PLAN: plan.packed()})


def _params(sampling: Sampling, most: int, **chosen: object) -> SamplingParams:
    """Only stop_tokens end the text."""
    params: dict[str, object] = {
        "max_tokens": max(1, most),
        "stop_token_ids": sorted(sampling.stop_tokens),
        "ignore_eos": True,
        "logprobs": sampling.logprobs,
        "prompt_logprobs": sampling.prompt_logprobs,
        "detokenize": False,
        "output_kind": RequestOutputKind.DELTA,
        **chosen,
    }
    return SamplingParams(**params)  # type: ignore[arg-type]


def _merged(bias: Sequence[tuple[int, float]]) -> dict[int, float]:
    merged: dict[int, float] = {}
    for token, value in bias:
        merged[token] = merged.get(token, 0.0) + value
    return merged


def logprobs_of(output: RequestOutput, count: int | None) -> tuple[TokenLogprob, ...]:
    """Of the output's new tokens."""
    if count is None:
        return ()
    answer = output.outputs[0]
    return tuple(_logprob(token, place or {}, count) for token, place in zip(answer.token_ids, answer.logprobs or (), strict=True))


def prompt_logprobs_of(output: RequestOutput, tokens: Sequence[int], count: int | None) -> tuple[TokenLogprob, ...]:
    """Of the second to last of the prompt's `tokens`."""
    if count is None:
        return ()
    places = list(output.prompt_logprobs or ())[1:]
    return tuple(_logprob(token, place or {}, count) for token, place in zip(tokens[1:], places, strict=True))


def queued_of(output: RequestOutput) -> float | None:
    """Seconds that vLLM's scheduler let the request wait."""
    times = output.metrics
    return None if times is None or not times.scheduled_ts else max(0.0, times.scheduled_ts - times.queued_ts)


def _logprob(token: int, place: Mapping[int, Logprob], count: int) -> TokenLogprob:
    """vLLM also names the token itself, where it is not among the `count` likeliest."""
    likeliest = sorted(((other, found.logprob) for other, found in place.items()), key=lambda pair: (-pair[1], pair[0]))[:count]
    return TokenLogprob(token=token, logprob=place[token].logprob, top=tuple(likeliest))
