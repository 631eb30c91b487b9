"""How a checkpoint of an encoder-decoder wants its answers generated: generation_config.json, or config.json of an older one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.api import Beams

Values = Mapping[str, Any]
# what early_stopping is in the words of `engine.api.Beams`
UNTIL: dict[bool | str, Literal["full", "likely", "certain"]] = {True: "full", False: "likely", "never": "certain"}
# what would change an answer and nobody here does: a checkpoint that sets one is refused
UNKNOWN = {
    "diversity_penalty": 0.0,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "exponential_decay_length_penalty": None,
    "num_beam_groups": 1,
    "sequence_bias": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Where a request says nothing. In the words of `engine.api.Sampling`."""

    sampled: bool = False  # False: the likeliest answer
    beams: Beams | None = None
    max_tokens: int | None = None
    min_tokens: int = 0
    no_repeat: int = 0
    repetition_penalty: float = 1.0
    bad_words: tuple[tuple[int, ...], ...] = ()
    not_first: tuple[int, ...] = ()
    forced_first: int | None = None
    forced_last: int | None = None


def read_defaults(config: Values, generation: Values) -> Defaults:
    """`generation`: of generation_config.json, {} where there is none. Raises ValueError for what cannot be honoured."""
    values = {name: value for name, value in (generation or config).items() if value is not None}
    if wrong := [name for name, harmless in UNKNOWN.items() if values.get(name, harmless) != harmless]:
        raise ValueError(f"generation_config.json: {wrong[0]} = {values[wrong[0]]!r} is not supported: take it out to do without")
    longest = values.get("max_length")  # with the token that an answer begins with
    return Defaults(
        sampled=values.get("do_sample", False),
        beams=_beams(values),
        max_tokens=values.get("max_new_tokens", max(1, longest - 1) if longest else None),
        min_tokens=values.get("min_new_tokens", max(0, values.get("min_length", 0) - 1)),
        no_repeat=values.get("no_repeat_ngram_size", 0),
        repetition_penalty=values.get("repetition_penalty", 1.0),
        bad_words=tuple(_bad_words(values)),
        not_first=tuple(values.get("begin_suppress_tokens", ())),
        forced_first=_one(values.get("forced_bos_token_id")),
        forced_last=_one(values.get("forced_eos_token_id")),
    )


def _beams(values: Values) -> Beams | None:
    if (width := values.get("num_beams", 1)) < 2:
        return None
    return Beams(width=width, length_penalty=float(values.get("length_penalty", 1.0)), until=UNTIL[values.get("early_stopping", False)])


def _bad_words(values: Values) -> Iterable[tuple[int, ...]]:
    yield from (tuple(word) for word in values.get("bad_words_ids", ()))
    yield from ((token,) for token in values.get("suppress_tokens", ()))


def _one(token: int | list[int] | None) -> int | None:
    return token[0] if isinstance(token, list) else token
