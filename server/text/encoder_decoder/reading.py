"""What an encoder-decoder reads of a text, and what its answer begins with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Tokenizer

from server.text.encoder_decoder.defaults import Defaults, Values, read_defaults
from server.text.encoder_decoder.languages import (
    NO_LANGUAGES,
    SOURCE,
    TARGET,
    Around,
    LanguageError,
    LanguagePair,
    LanguageTokens,
    TaskPrefixes,
)
from server.text.prompt import Prompt

PROBE = "stoa"
# how models spell the tokens of their languages
LANGUAGE_TOKEN = re.compile(
    r"(?P<mbart>[a-z]{2,3}_[A-Z]{2})"  # de_DE
    r"|(?P<nllb>[a-z]{3}_[A-Z][a-z]{3})"  # deu_Latn
    r"|__(?P<m2m>[a-z]{2,3})__"
    r"|>>(?P<marian>[\w-]+)<<"
)
TASK = re.compile(r"translation_([a-z]+)_to_([a-z]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderDecoder:
    """What the text side knows of a model that reads a text whole and then answers it."""

    start: int  # the token that answers begin with
    around: Around  # of an input; where languages are tokens, with the default source's
    defaults: Defaults
    languages: LanguageTokens | TaskPrefixes | None = None
    vocab: int | None = None  # of the model, where the tokenizer has more tokens, which are unknown to the model; None: it has not
    unknown: int = 0  # the token for what the model does not know
    chosen: LanguagePair = NO_LANGUAGES  # where a request does not say
    spaced: bool = False  # the first word of an answer has a space before it that stands for nothing

    @property
    def takes_grammars(self) -> bool:
        """Not where an answer's first token has a space that is none of the answer's: no grammar begins with it."""
        return not self.spaced

    def prefix(self, pair: LanguagePair) -> str:
        """What stands before the text, as text. Raises LanguageError."""
        pair = pair.over(self.chosen)
        if isinstance(self.languages, LanguageTokens) or pair == NO_LANGUAGES:
            return ""
        if self.languages is None:
            raise LanguageError(TARGET if pair.target else SOURCE, "this model has no languages to choose from; leave it out")
        return self.languages.prefix(pair)

    def prompt(self, tokens: Sequence[int], pair: LanguagePair, begun: Sequence[int] = (), *, bare: bool = False) -> Prompt:
        """`tokens`: of the text. `begun`: of an answer that is to be continued. `bare`: the tokens are the whole input. Raises
        LanguageError."""
        around, start, first = self.around, self.start, self.defaults.forced_first
        if self.vocab is not None:
            tokens = [token if token < self.vocab else self.unknown for token in tokens]
        if isinstance(self.languages, LanguageTokens):
            around, start, first = self._told(self.languages, pair.over(self.chosen), tokens)
        head = (start,) if first is None or not begun else (start, first)
        return Prompt(
            tokens=(*head, *begun),
            encoder=tuple(tokens) if bare else around.wrap(tokens),
            forced_first=None if begun else first,
        )

    def _told(self, languages: LanguageTokens, pair: LanguagePair, tokens: Sequence[int]) -> tuple[Around, int, int | None]:
        """The tokens around the input, that of the start, and the first of the answer."""
        around = self.around if pair.source is None else languages.with_source(self.around, pair.source)
        if pair.target is None:
            if not self._has_target(languages, tokens):
                told = f"it is needed; there are {', '.join(languages.ids)}"
                raise LanguageError(TARGET, told)
            return around, self.start, self.defaults.forced_first
        target = languages.id_of(pair.target, TARGET)
        match languages.target_as:
            case "start":
                return around, target, None
            case "first":
                return around, self.start, target
            case "before":
                return Around((target, *around.before), around.after), self.start, self.defaults.forced_first

    def _has_target(self, languages: LanguageTokens, tokens: Sequence[int]) -> bool:
        known = frozenset(languages.ids.values())
        match languages.target_as:
            case "start":
                return self.start in known
            case "first":
                return self.defaults.forced_first in known
            case "before":
                return any(token in known for token in tokens[:1])

    def choosing(self, pair: LanguagePair) -> "EncoderDecoder":
        """With these languages where a request does not say. Raises LanguageError."""
        self.prefix(pair)
        self.prompt((), pair)
        return replace(self, chosen=pair.over(self.chosen))


def read_encoder_decoder(
    config: Values, generation: Values, tokenizer_config: Values, spec: Mapping[str, Any], backend: Tokenizer, *, spaced: bool
) -> EncoderDecoder | None:
    """None of a model that is none, or whose encoder reads no text. `spec`: of tokenizer.json, with the names of its tokens. Raises
    ValueError."""
    if not config.get("is_encoder_decoder") or "num_mel_bins" in config:
        return None
    names = ("decoder_start_token_id", "bos_token_id")
    start = next((found for name in names for values in (generation, config) if isinstance(found := values.get(name), int)), None)
    if start is None:
        raise ValueError("config.json names no decoder_start_token_id: the token that answers begin with is not known")
    around = _around(backend)
    languages = _languages(config, start, around, spec)
    chosen = NO_LANGUAGES
    if isinstance(languages, LanguageTokens):
        named = (tokenizer_config.get("src_lang"), tokenizer_config.get("tgt_lang"))
        chosen = LanguagePair(*(name if isinstance(name, str) and name in languages.ids else None for name in named))
    return EncoderDecoder(
        start=start,
        around=around,
        defaults=read_defaults(config, generation),
        languages=languages,
        vocab=_narrower(config, backend),
        unknown=_unknown(spec),
        chosen=chosen,
        spaced=spaced,
    )


def _narrower(config: Values, backend: Tokenizer) -> int | None:
    """The model's vocabulary, where it is smaller than the tokenizer's."""
    vocab = config.get("vocab_size")
    return vocab if isinstance(vocab, int) and max(backend.get_vocab().values(), default=0) >= vocab else None


def _unknown(spec: Mapping[str, Any]) -> int:
    model: dict[str, Any] = spec["model"]
    vocab: dict[str, int] | list[Any] = model["vocab"]
    named = vocab.get(model.get("unk_token") or "", 0) if isinstance(vocab, dict) else 0
    return model.get("unk_id") or named


def _around(backend: Tokenizer) -> Around:
    bare, whole = (backend.encode(PROBE, add_special_tokens=added).ids for added in (False, True))
    at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    return Around(tuple(whole[:at]), tuple(whole[at + len(bare) :]))


def _languages(config: Values, start: int, around: Around, spec: Mapping[str, Any]) -> LanguageTokens | TaskPrefixes | None:
    ids, kinds = dict[str, int](), set[str | None]()
    for name, number in _names(spec):
        if (found := LANGUAGE_TOKEN.fullmatch(name)) is not None:
            ids[found[found.lastgroup or 0]] = number
            kinds.add(found.lastgroup)
    if not ids:
        tasks: dict[str, dict[str, Any]] = config.get("task_specific_params") or {}
        prefixes = {(found[1], found[2]): str(task["prefix"]) for name, task in tasks.items() if (found := TASK.fullmatch(name))}
        return TaskPrefixes(prefixes) if prefixes else None
    ids = dict(sorted(ids.items(), key=lambda item: item[1]))
    if kinds == {"marian"}:
        return LanguageTokens(ids, "before")
    behind = bool(frozenset(around.after) & frozenset(ids.values()))
    return LanguageTokens(ids, "start" if start in ids.values() or (behind and "mbart" in kinds) else "first")


def _names(spec: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    """Special tokens; of Marian's languages most are entries of the vocabulary like others."""
    yield from ((token["content"], token["id"]) for token in spec["added_tokens"])
    vocab: dict[str, int] | list[tuple[str, float]] = spec["model"]["vocab"]
    entries = vocab.items() if isinstance(vocab, dict) else ((name, i) for i, (name, _) in enumerate(vocab))
    yield from (entry for entry in entries if entry[0].startswith(">>"))
