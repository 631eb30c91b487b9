"""Text to token ids and back, for one model: its tokenizer, its chat template, its stop tokens.

Untrusted text never becomes a control token (server/controls.py says how), and everything else is encoded exactly as
transformers' apply_chat_template encodes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tokenizers import Tokenizer

from server.controls import Controls, NoMark, controls, respell, unused_mark
from server.detokenize import Detokenizer, token_bytes
from server.dialects import reasoning
from server.template import Message, Template, TemplateRefused

PROBE = "stoa"  # an answer to look behind, when searching the token that ends a turn


class NoTemplate(ValueError):
    """A base model: it completes text, it knows no conversation."""


@dataclass(frozen=True)
class Prompt:
    tokens: tuple[int, ...]
    thinking: bool  # the template has already opened the model's thoughts


@dataclass(frozen=True)
class Text:
    tokenizer: Tokenizer  # its control tokens are spelled by aliases
    controls: Controls
    template: Template | None
    stop_tokens: frozenset[int]
    hidden: frozenset[int]  # special tokens, which no answer shows
    spelled: dict[int, bytes] = field(default_factory=dict[int, bytes])

    @property
    def thinks(self) -> bool:
        return self.template is not None and reasoning.CLOSE in self.template.source

    @property
    def vocab(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, text: str, *, control: bool = False, special: bool = False) -> tuple[int, ...]:
        """control: control tokens written in `text` count as such. special: with what the tokenizer adds (bos)."""
        armed = self.controls.arm(text) if control else text
        return tuple(self.tokenizer.encode(armed, add_special_tokens=special).ids)

    def chat(self, messages: Sequence[Message], variables: Mapping[str, Any] | None = None) -> Prompt:
        """A conversation up to where the assistant speaks. Raises NoTemplate, TemplateRefused, NoMark."""
        rendered = self._render(messages, variables or {})
        return Prompt(tokens=self.encode(rendered), thinking=reasoning.opened(self.controls, rendered))

    def decode(self, tokens: Sequence[int]) -> str:
        """Everything the tokens say, special ones too."""
        detokenizer = Detokenizer(self.spell)
        return "".join(map(detokenizer.push, tokens)) + detokenizer.flush()

    def spell(self, token: int) -> bytes:
        """The bytes of a token, which may be a part of a character."""
        return self.spelled[token]

    def shown(self, token: int) -> bytes:
        """As `spell`, but nothing for a special token."""
        return b"" if token in self.hidden else self.spelled[token]

    def _render(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> str:
        """The prompt, armed."""
        if self.template is None:
            raise NoTemplate("this model has no chat template; use /v1/completions")
        mark = unused_mark(value for message in messages for value in message.values())
        try:
            rendered = self.template.render([self._guarded(m, mark) for m in messages], variables)
        except TemplateRefused as error:
            raise TemplateRefused(str(error).replace(mark, "")) from error
        return self.controls.arm(rendered).replace(mark, "")

    def _guarded(self, message: Message, mark: str) -> Message:
        return {key: value if key == "role" else self.controls.guard(value, mark) for key, value in message.items()}


def load_text(directory: Path) -> Text:
    """Reads tokenizer.json, tokenizer_config.json, and what else of a prepared directory says how a model speaks."""
    config = _json(directory / "tokenizer_config.json")
    source = _template_source(directory, config)
    spec = cast(dict[str, Any], json.loads((directory / "tokenizer.json").read_bytes()))
    steering = controls(spec, source or "", reasoning.MARKERS)
    special = {t["content"]: t["id"] for t in spec["added_tokens"] if t["special"]}
    visible = {special[m] for m in reasoning.MARKERS if m in special}
    spell = token_bytes(spec.get("decoder"))
    respell(spec, steering.aliases)
    spec["truncation"] = spec["padding"] = None
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    text = Text(
        tokenizer=tokenizer,
        controls=steering,
        template=Template(source, _constants(config)) if source else None,
        stop_tokens=frozenset(),
        hidden=frozenset(special.values()) - visible,
        spelled=dict(),
    )
    return text
