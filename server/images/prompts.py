"""From a prompt to what a model of pictures is told: a label that it names, or the tokens of its text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tokenizers import Tokenizer

from engine.api import Label, PromptTokens, ReadsText

SHOWN = 12  # names of labels in an error
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """`tokens`: that the model reads of it, for usage."""

    told: Label | PromptTokens | None
    tokens: int


class PromptError(ValueError):
    """A prompt that the model cannot be told; the message says why. `field`: which one."""

    def __init__(self, field: Literal["prompt", "negative_prompt"], message: str) -> None:
        super().__init__(message)
        self.field = field


class PromptReader(Protocol):
    def read(self, prompt: str, negative: str | None) -> ReadPrompt:
        """`negative`: what the picture is not to show; None: nothing is said of it. Raises PromptError."""
        ...


class LabelReader:
    """Implements PromptReader for a model that knows labels alone. `names`: of each label its names, separated by commas."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._labels = {_words(name): number for number, several in names.items() for name in several.split(",")}
        self._longest = max(map(len, self._labels), default=0)

    def read(self, prompt: str, negative: str | None) -> ReadPrompt:
        """Of an empty prompt: any picture. Where one name is part of another ("eel", "electric eel"), the longer one is meant."""
        if negative:
            message = "this model is told one label, and cannot be told what a picture is not to show; leave it out"
            raise PromptError("negative_prompt", message)
        words = _words(prompt)
        if not words:
            return ReadPrompt(None, 0)
        found = self._found(words)
        if len(found) != 1:
            many = f"{' and '.join(self._name(label) for label in sorted(found))} at once" if found else "none of them"
            raise PromptError("prompt", f"this model makes pictures of one thing: {self._known()}; the prompt names {many}")
        return ReadPrompt(Label(found.pop()), 1)

    def _found(self, words: tuple[str, ...]) -> set[int]:
        found, at = set[int](), 0
        while at < len(words):
            sizes = range(min(self._longest, len(words) - at), 0, -1)
            size = next((size for size in sizes if words[at : at + size] in self._labels), None)
            if size is not None:
                found.add(self._labels[words[at : at + size]])
            at += size or 1
        return found

    def _name(self, label: int) -> str:
        return self._names[label].partition(",")[0]

    def _known(self) -> str:
        shown = [self._name(label) for label in sorted(self._names)[:SHOWN]]
        return ", ".join([*shown, f"and {len(self._names) - SHOWN} more"] if len(self._names) > SHOWN else shown)


@dataclass(frozen=True)
class TextTokens:
    """How one encoder's texts become tokens. `padding` fills them up; `lower`: in small letters, without space around them."""

    tokenizer: Tokenizer
    reads: ReadsText
    padding: int
    lower: bool = False

    def encoded(self, text: str) -> list[int]:
        return self.tokenizer.encode(text.lower().strip() if self.lower else text).ids

    def fitted(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The beginning of what is longer than the encoder reads, and the token that ends it."""
        context = self.reads.context
        if len(tokens) > context:
            return *tokens[: context - 1], tokens[-1]
        return (*tokens, *[self.padding] * (context - len(tokens))) if self.reads.filled else tuple(tokens)


class TextReader:
    """Implements PromptReader for a model that reads texts, each with all its encoders. `nothing`: as of ReadsPrompts."""

    def __init__(self, texts: Sequence[TextTokens], nothing: bool = False) -> None:
        self._texts, self._nothing = texts, nothing
        self._longest = max(range(len(texts)), key=lambda i: texts[i].reads.context)

    def read(self, prompt: str, negative: str | None) -> ReadPrompt:
        """Raises PromptError for what is longer than the encoder that reads most."""
        text, unwanted = self._tokens("prompt", prompt), self._tokens("negative_prompt", negative or "")
        told = PromptTokens(tokens=self._fitted(text), negative=None if negative is None and self._nothing else self._fitted(unwanted))
        return ReadPrompt(told, len(text[self._longest]) + (len(unwanted[self._longest]) if negative else 0))

    def _tokens(self, field: Literal["prompt", "negative_prompt"], text: str) -> list[list[int]]:
        """Of each encoder."""
        found, context = [each.encoded(text) for each in self._texts], self._texts[self._longest].reads.context
        if (count := len(found[self._longest])) > context:
            raise PromptError(field, f"it has {count} tokens, and this model reads {context}; make it shorter")
        return found

    def _fitted(self, tokens: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        return tuple(text.fitted(each) for text, each in zip(self._texts, tokens, strict=True))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
