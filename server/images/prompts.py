"""From a prompt to what a model of pictures is told: a label that it names, or the tokens of its text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from tokenizers import Tokenizer

from engine.api import Label, PromptTokens

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
    def read(self, prompt: str, negative: str) -> ReadPrompt:
        """`negative`: what the picture is not to show; "": nothing in particular. Raises PromptError."""
        ...


class LabelReader:
    """Implements PromptReader for a model that knows labels alone. `names`: of each label its names, separated by commas."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._labels = {_words(name): number for number, several in names.items() for name in several.split(",")}
        self._longest = max(map(len, self._labels), default=0)

    def read(self, prompt: str, negative: str) -> ReadPrompt:
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


class TextReader:
    """Implements PromptReader for a model that reads texts. `context`: tokens of every prompt; `padding` fills them up."""

    def __init__(self, tokenizer: Tokenizer, context: int, padding: int) -> None:
        self._tokenizer, self._context, self._padding = tokenizer, context, padding

    def read(self, prompt: str, negative: str) -> ReadPrompt:
        text, unwanted = self._tokens("prompt", prompt), self._tokens("negative_prompt", negative)
        told = PromptTokens(tokens=self._filled(text), negative=self._filled(unwanted))
        return ReadPrompt(told, len(text) + (len(unwanted) if negative else 0))

    def _tokens(self, field: Literal["prompt", "negative_prompt"], text: str) -> list[int]:
        tokens = self._tokenizer.encode(text).ids
        if len(tokens) > self._context:
            raise PromptError(field, f"it has {len(tokens)} tokens, and this model reads {self._context}; make it shorter")
        return tokens

    def _filled(self, tokens: list[int]) -> tuple[int, ...]:
        return (*tokens, *[self._padding] * (self._context - len(tokens)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
