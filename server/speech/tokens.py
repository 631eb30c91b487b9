"""The tokens that steer a Whisper model (Radford et al. 2022, arXiv 2212.04356, figure 1), as its checkpoint numbers them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENGLISH_ONLY_END = 50256  # GPT-2's last token; the vocabulary of multilingual models is another
LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")

Head = tuple[int, int]  # layer, head


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTokens:
    end: int
    start: int
    previous: int | None  # before text that was said before the window
    no_speech: int | None
    no_times: int  # asks for an answer without times
    first_time: int  # 0 s; each one behind it is 20 ms later
    languages: Mapping[str, int]  # by ISO 639-1; none: the model knows English only
    transcribe: int | None = None
    translate: int | None = None
    suppressed: tuple[int, ...] = ()  # never in an answer
    suppressed_first: tuple[int, ...] = ()  # nor at its beginning
    alignment_heads: tuple[Head, ...] = ()  # whose attention follows the sound; none: not known

    def opening(self, language: str, *, translate: bool) -> tuple[int, ...]:
        """What an answer begins with. Raises ValueError for what the model cannot do."""
        if not self.languages:
            if language != "en" or translate:
                raise ValueError("this model knows English only, and translates nothing")
            return (self.start,)
        task = self.translate if translate else self.transcribe
        if language not in self.languages:
            raise ValueError(f"this model does not know the language {language!r}")
        if task is None:
            raise ValueError(f"this model cannot {'translate' if translate else 'transcribe'}")
        return self.start, self.languages[language], task


def read_speech_tokens(directory: Path) -> SpeechTokens:
    """From tokenizer.json and, where there are any, generation_config.json and config.json. Raises ValueError for a directory without the
    tokens of a Whisper model."""
    added = {str(token["content"]): int(token["id"]) for token in _json(directory / "tokenizer.json").get("added_tokens", ())}
    stated = _json(directory / "generation_config.json")
    try:
        end, start, no_times = (added[f"<|{name}|>"] for name in ("endoftext", "startoftranscript", "notimestamps"))
    except KeyError as missing:
        raise ValueError(f"{directory / 'tokenizer.json'} has no token {missing}: it is no model of speech") from None
    return SpeechTokens(
        end=end,
        start=start,
        previous=added.get("<|startofprev|>"),
        no_speech=added.get("<|nospeech|>", added.get("<|nocaptions|>")),
        no_times=no_times,
        first_time=no_times + 1,
        languages=_languages(added, start) if stated.get("is_multilingual", end != ENGLISH_ONLY_END) else {},
        transcribe=added.get("<|transcribe|>"),
        translate=added.get("<|translate|>"),
        suppressed=_suppressed(stated.get("suppress_tokens") or (), end, no_times),
        suppressed_first=tuple(stated.get("begin_suppress_tokens") or (end,)),
        alignment_heads=_alignment_heads(stated, _json(directory / "config.json")),
    )


def _languages(added: Mapping[str, int], start: int) -> dict[str, int]:
    """They stand between the start and the tasks."""
    tasks = min(added.get(f"<|{task}|>", start) for task in ("transcribe", "translate"))
    return {found[1]: number for name, number in added.items() if start < number < tasks and (found := LANGUAGE.fullmatch(name))}


def _suppressed(listed: Sequence[int], end: int, no_times: int) -> tuple[int, ...]:
    """With all that steer: none of them belongs into an answer, listed or not."""
    return tuple(sorted({token for token in listed if 0 <= token != end}.union(range(end + 1, no_times + 1))))


def _alignment_heads(stated: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Head, ...]:
    """Where none are stated, all of the upper half of the decoder's layers."""
    if heads := stated.get("alignment_heads"):
        return tuple((layer, head) for layer, head in heads)
    layers, heads = config.get("decoder_layers", 0), config.get("decoder_attention_heads", 0)
    return tuple((layer, head) for layer in range(layers // 2, layers) for head in range(heads))


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_bytes()) if file.exists() else {}
