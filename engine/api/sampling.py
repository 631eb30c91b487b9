"""How the next token is chosen, or all of them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Beams:
    """The `width` most likely answers so far are continued together, each in a place of its own, and the best that has ended is the
    answer (Lowerre 1976; as transformers does it). How good one of n tokens is: the sum of its logprobs, divided by
    n ** `length_penalty`. `until`: as many have ended as are continued ("full"), or moreover the best that goes on is no better as
    it is ("likely"), or could not become better however long it grew ("certain")."""

    width: int
    length_penalty: float = 1.0
    until: Literal["full", "likely", "certain"] = "likely"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """Tokens that are times of what an encoder has heard: `first` and those behind it, `never` being none of them (Radford et al. 2022,
    arXiv 2212.04356, section 2.3). An answer begins with one; they come in pairs, around text or before the answer's end, none is before
    the one before it, a new pair begins after the last one began, and a time is chosen where all of them together are likelier than any
    other token."""

    first: int  # of 0 s
    end: int  # the token that ends an answer
    never: int | None = None  # the one that asks for an answer without times
    latest_start: int | None = None  # how many behind `first` the first one may be; None: any


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """How an answer is found by a model that denoises (`ModelInfo.denoiser`): of a block of masked tokens, each step accepts some, until
    none is left (LLaDA: Nie et al. 2025, arXiv 2502.09992; order: Dream, arXiv 2508.15487). A block that is found is final."""

    block: int | None = None  # tokens; None: as the model says, or 32
    steps: int | None = None  # for a block; None: one for each of its tokens
    threshold: float | None = None  # accept all tokens that are as likely, one at least, until none is left; None: as `steps` says
    order: Literal["confidence", "entropy", "margin", "random"] = "confidence"  # which tokens first
    canvas: int = 128  # masked tokens that a model sees whose tokens see the whole text; an answer that fills them gets as many more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. Applied in this order: forced_first and forced_last, logit_bias, penalties, grammar, what is forbidden
    (min_tokens, bad_words, not_first, no_repeat, timestamps), temperature, top_k, top_p, min_p. temperature 0 is greedy. The same seed
    gives the same tokens whatever else is in the batch. What is forbidden is allowed where the grammar leaves nothing else."""

    max_tokens: int  # 0: the prompt is computed (and cached), and finish="length"
    min_tokens: int = 0  # no stop token before so many
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    presence_penalty: float = 0.0  # over generated tokens, as OpenAI defines it
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0  # over prompt and generated tokens (Keskar et al. 2019, arXiv 1909.05858)
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    stop_tokens: frozenset[int] = frozenset()  # generating one ends the sequence with finish="stop"
    bad_words: tuple[tuple[int, ...], ...] = ()  # sequences of tokens that must not be generated
    not_first: tuple[int, ...] = ()  # tokens that must not be generated first
    no_repeat: int = 0  # no sequence of so many tokens comes twice in prompt and answer (Paulus et al. 2017, arXiv 1705.04304); 0: any may
    forced_first: int | None = None  # the first token, as the language that a translation is to be in; not with a grammar
    forced_last: int | None = None  # the last one where the answer is as long as it may be; not with a grammar
    timestamps: Timestamps | None = None  # not with a grammar
    denoising: Denoising | None = None  # None: as is usual; of no model that continues texts
    beams: Beams | None = None  # greedy only, without grammar, bias, penalties and logprobs
    logprobs: int | None = None  # None: none; n: the chosen token's logprob and the n most likely alternatives
    scored: tuple[int, ...] = ()  # with logprobs: tokens whose own come along each time (`TokenLogprob.scored`)
    prompt_logprobs: int | None = None  # the same for the tokens of the prompt, which is then computed without the prefix cache
