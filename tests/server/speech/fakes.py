"""A model of speech that says what it is told to: its tokenizer, its tokens, and an engine that can be looked over the shoulder."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import ByteLevel

from engine.api import Delta, ModelInfo, ReaderInfo, ReadsFrames, Request, Stats, TokenLogprob
from server.speech.tokens import SpeechTokens, read_speech_tokens
from server.text.tokenizer import ChatTokenizer, load_tokenizer

LETTERS = sorted(ByteLevel.alphabet())  # a token for each byte
LANGUAGES = ("en", "de", "ja")
END = len(LETTERS)
SPECIAL = (
    "endoftext startoftranscript " + " ".join(LANGUAGES) + " translate transcribe startoflm startofprev nospeech notimestamps"
).split()
NUMBERS = {name: END + number for number, name in enumerate(SPECIAL)}
FIRST_TIME = END + len(SPECIAL)
SOON = -0.1  # logprob of a token that the model is sure of

Spoken = Sequence[str | float]  # text, and times in seconds
Script = Callable[[Request, int], tuple[Spoken, float]]  # what is said in answer to the n-th question, and the logprob of each token


def write_model(folder: Path, generation: dict[str, object] | None = None, config: dict[str, object] | None = None) -> Path:
    """tokenizer.json of a multilingual model, and what else is given."""
    added = [{"id": number, "content": f"<|{name}|>", "special": True, **_AS_IT_IS} for name, number in NUMBERS.items()]
    model = {"type": "BPE", "vocab": {letter: number for number, letter in enumerate(LETTERS)}, "merges": []}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    spec = {"version": "1.0", "added_tokens": added, "pre_tokenizer": level, "decoder": level, "model": model}
    for name, content in (("tokenizer", spec), ("generation_config", generation), ("config", config)):
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


_AS_IT_IS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def voice(folder: Path) -> tuple[ChatTokenizer, SpeechTokens]:
    write_model(folder, {"alignment_heads": [[0, 0]], "suppress_tokens": [1, 2]})
    return load_tokenizer(folder), read_speech_tokens(folder)


def tokens_of(spoken: Spoken) -> list[int]:
    found: list[int] = []
    for part in spoken:
        found += _letters(part) if isinstance(part, str) else [FIRST_TIME + round(part / 0.02)]
    return found


def _letters(text: str) -> list[int]:
    spelled = {byte: letter for letter, byte in _BYTES.items()}
    return [LETTERS.index(spelled[byte]) for byte in text.encode()]


@dataclass
class FakeSpeechEngine:
    """Says what `script` tells it to where a whole answer is asked for. `no_speech` and `language`: what it believes of every window."""

    script: Script
    no_speech: float = 0.01
    language: str = "en"
    context: int = 448
    asked: list[Request] = field(default_factory=list[Request])  # for whole answers
    aligned: list[Request] = field(default_factory=list[Request])
    running: int = 0
    alive: bool = True
    fault: str | None = None

    @property
    def info(self) -> ModelInfo:
        reader = ReaderInfo(context=1500, reads=ReadsFrames(frames=3000, bins=80))
        return ModelInfo(context=self.context, vocab=FIRST_TIME + 1501, reader=reader)

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        if request.sampling.scored:
            yield Delta(tokens=(END,), logprobs=(self._scored(request),), finish="length")
            return
        self.asked.append(request)
        spoken, logprob = self.script(request, len(self.asked) - 1)
        self.running += 1
        try:
            for token in [*tokens_of(spoken), END][: request.sampling.max_tokens]:
                yield Delta(tokens=(token,), logprobs=(TokenLogprob(token=token, logprob=logprob),))
            yield Delta(finish="stop")
        finally:
            self.running -= 1

    async def align(self, request: Request, heads: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Each token is looked at for a tenth of a second, one after the other."""
        self.aligned.append(request)
        weights = np.full((len(heads), len(request.tokens), 1500), 1e-4, np.float32)
        for number in range(len(request.tokens)):
            weights[:, number, 5 * number : 5 * number + 5] = 1.0
        weights[:, -2, 5 * len(request.tokens) :] = 1.0  # what is looked at behind the last word
        return weights / weights.sum(-1, keepdims=True)

    def stats(self) -> Stats:
        return Stats()

    async def close(self) -> None:
        self.alive = False

    def _scored(self, request: Request) -> TokenLogprob:
        likely = {NUMBERS["nospeech"]: self.no_speech, NUMBERS[self.language]: 0.9}
        return TokenLogprob(
            token=END, logprob=0.0, scored=tuple(float(np.log(likely.get(token, 1e-3))) for token in request.sampling.scored)
        )


def previous_of(request: Request) -> str:
    """Text that came before the window, as the model was told of it."""
    start = request.tokens.index(NUMBERS["startoftranscript"])
    data = "".join(LETTERS[token] for token in request.tokens[:start] if token < END)
    return bytes(_BYTES[letter] for letter in data).decode()


def _byte_table() -> dict[str, int]:
    """As GPT-2 writes bytes (Radford et al. 2019)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + number): byte for number, byte in enumerate(hidden)}


_BYTES = _byte_table()
