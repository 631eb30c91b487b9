"""Text to token ids and back, for one model: its tokenizer, its chat template, the tokens that end its turn.

Untrusted text never becomes a control token (server/text/control_tokens.py says how), and everything else is encoded exactly as
transformers' apply_chat_template encodes it.
"""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from server.text import reasoning
from server.text.control_tokens import ControlTokens, find_control_tokens, respell, strings, unused_character
from server.text.detokenize import token_bytes
from server.text.encode_cache import EncodeCache
from server.text.reasoning import ReasoningParser
from server.text.template import ChatTemplate, TemplateMessage, TemplateRefused
from server.text.tool_calls import template_probe
from server.text.tool_calls.api import Dialect
from server.text.tool_calls.detect import detect
from server.text.tool_calls.dialects.harmony import MARKERS, Channels, Harmony
from server.text.tool_calls.template_probe import ToolTemplate

ENDS = frozenset({"<|eom_id|>", "<|call|>", "<|return|>"})  # of turns that call; not every checkpoint names them
PROBE = "stoa"  # an answer to look behind, when searching the token that ends a turn
Json = dict[str, Any]


class NoChatTemplate(ValueError):
    """A base model: it completes text, it knows no conversation."""


class TokenBytes(dict[int, bytes]):
    """Token id -> its bytes, which may be a part of a character. Filled as tokens come up."""

    def __init__(self, spell: Callable[[int], bytes]) -> None:
        super().__init__()
        self._spell = spell

    def __missing__(self, token: int) -> bytes:
        self[token] = spelled = self._spell(token)
        return spelled


@dataclass(frozen=True)
class Prompt:
    tokens: tuple[int, ...]
    thinking: bool = False  # the template has already opened the model's thoughts
    fences: tuple[str, ...] = ()  # what encloses data in it, and nothing that is worth repeating


@dataclass(frozen=True)
class ChatTokenizer:
    tokenizer: Tokenizer  # its control tokens are spelled by aliases
    control_tokens: ControlTokens
    template: ChatTemplate | None
    stop_tokens: frozenset[int]  # each ends the model's turn
    token_bytes: TokenBytes  # of every token
    visible_bytes: TokenBytes  # the same, but nothing for special tokens that are no markers
    dialect: Dialect  # that it calls tools in
    tool_template: ToolTemplate | None  # how its template is told of tools; None: it knows none
    special: frozenset[str]  # spellings that a grammar cannot match as text
    encode_cache: EncodeCache  # encodes what it has encoded before in no time

    @property
    def has_reasoning(self) -> bool:
        """The model may write its thoughts before its answer."""
        return self.template is not None and (reasoning.CLOSE in self.template.source or isinstance(self.dialect, Harmony))

    def reasoning_parser(self, prompt: Prompt) -> ReasoningParser | None:
        """Tells the thoughts of the answer to `prompt`. None: the model does not think."""
        if isinstance(self.dialect, Harmony):
            return Channels()
        return reasoning.ThinkTagParser(thinking=prompt.thinking) if self.has_reasoning else None

    def encode(self, text: str, *, control: bool = False, special: bool = False) -> tuple[int, ...]:
        """control: control tokens written in `text` count as such. special: with what the tokenizer adds (bos)."""
        armed = self.control_tokens.arm(text) if control else text
        return tuple(self.tokenizer.encode(armed).ids) if special else self.encode_cache.encode(armed)

    def chat(
        self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any] | None = None, tools: Sequence[TemplateMessage] = ()
    ) -> Prompt:
        """A conversation up to where the assistant speaks. `messages` and `tools` as templates know them: server/text/render.py
        makes them. Raises NoTemplate, TemplateRefused, NoMark."""
        rendered, mark = self._render(messages, variables or {}, tools)
        armed = self.control_tokens.arm(rendered).replace(mark, "")
        return Prompt(tokens=self.encode(armed), thinking=reasoning.opens_reasoning(rendered))

    def control_id(self, spelling: str) -> int | None:
        """The special token that is spelled so, as a grammar needs to know it."""
        alias = self.control_tokens.aliases.get(spelling)
        return self.tokenizer.token_to_id(alias) if alias is not None and spelling in self.special else None

    def decode(self, tokens: Sequence[int]) -> str:
        """All that the tokens say, special ones too."""
        return self.control_tokens.disarm(self.tokenizer.decode(list(tokens), skip_special_tokens=False))

    def _render(
        self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any], tools: Sequence[TemplateMessage]
    ) -> tuple[str, str]:
        """The prompt, with a mark around whatever in a message could spell a control token; and that mark."""
        if self.template is None:
            raise NoChatTemplate("this model has no chat template; use /v1/completions")
        mark = unused_character(strings((*messages, variables, *tools)))
        given = self.control_tokens.guarded(variables, mark)
        if tools:
            given["tools"] = [self.control_tokens.guarded(tool, mark) for tool in tools]
        try:
            return self.template.render([self.control_tokens.guarded(m, mark) for m in messages], given), mark
        except TemplateRefused as error:
            raise TemplateRefused(str(error).replace(mark, "")) from error


def load_tokenizer(directory: Path) -> ChatTokenizer:
    """Reads tokenizer.json, tokenizer_config.json and what else in a prepared directory says how a model speaks."""
    config, spec = _json(directory / "tokenizer_config.json"), _json(directory / "tokenizer.json")
    source = _template_source(directory, config)
    added: dict[str, int] = {t["content"]: t["id"] for t in spec["added_tokens"]}
    template = ChatTemplate(source, _constants(config)) if source else None
    told = template_probe.probe(_rendered(template)) if template else None
    dialect = detect(source if told else None, added)
    within = (*dialect.markers, *(MARKERS if isinstance(dialect, Harmony) else ()))
    markers = frozenset((*reasoning.MARKERS, *within))
    known = find_control_tokens(spec, source or "", markers)
    tokenizer, spelled, shown = _tokenizer(spec, known, markers)
    ends = _named_ends(directory, config, added) | {added[end] for end in ENDS & added.keys()}
    text = ChatTokenizer(
        tokenizer=tokenizer,
        control_tokens=known,
        template=template,
        stop_tokens=ends,
        token_bytes=spelled,
        visible_bytes=shown,
        dialect=dialect,
        tool_template=told,
        special=_special(spec),
        encode_cache=EncodeCache(tokenizer, known.aliases.values()),
    )
    return replace(text, stop_tokens=ends | _turn_end(text) - {added.get(marker) for marker in within})


def _rendered(template: ChatTemplate) -> template_probe.Render:
    def render(messages: Sequence[TemplateMessage], tools: Sequence[TemplateMessage]) -> str | None:
        try:
            return template.render(messages, {"tools": list(tools)})
        except TemplateRefused:
            return None

    return render


def _special(spec: Json) -> frozenset[str]:
    """Tokens that a grammar's text never matches (llguidance: what looks like a tag counts as special)."""
    names: list[tuple[str, bool]] = [(t["content"], t["special"]) for t in spec["added_tokens"]]
    return frozenset(name for name, special in names if special or (name.startswith("<") and name.endswith(">")))


def _tokenizer(spec: Json, known: ControlTokens, markers: Container[str]) -> tuple[Tokenizer, TokenBytes, TokenBytes]:
    spell = token_bytes(spec.get("decoder"))
    original = {alias: control for control, alias in known.aliases.items()}
    hidden = {t["id"] for t in spec["added_tokens"] if t["special"] and t["content"] not in markers}
    tokenizer = Tokenizer.from_str(json.dumps({**respell(spec, known.aliases), "truncation": None, "padding": None}))

    def name(token: int) -> str:
        entry = tokenizer.id_to_token(token) or ""  # models pad their vocabulary
        return original.get(entry, entry)

    spelled = TokenBytes(lambda token: spell(name(token)))
    return tokenizer, spelled, TokenBytes(lambda token: b"" if token in hidden else spelled[token])


def _json(path: Path) -> Json:
    return json.loads(path.read_bytes()) if path.exists() else {}


def _template_source(directory: Path, config: Json) -> str | None:
    """chat_template.jinja, or the configuration's; of several named ones "default"."""
    if (file := directory / "chat_template.jinja").exists():
        return file.read_text()
    template: str | list[dict[str, str]] | None = config.get("chat_template")
    return {t["name"]: t["template"] for t in template}.get("default") if isinstance(template, list) else template


def _constants(config: Json) -> dict[str, str]:
    """What templates call bos_token, eos_token ... (older files wrap them in an object)."""
    found = {key: value for key, value in config.items() if key.endswith("_token") and value}
    return {key: value["content"] if isinstance(value, dict) else value for key, value in found.items() if not isinstance(value, bool)}


def _named_ends(directory: Path, config: Json, added: Mapping[str, int]) -> frozenset[int]:
    """End tokens that the checkpoint names."""
    ends: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        named: int | list[int] | None = _json(directory / name).get("eos_token_id")
        ends.update(named if isinstance(named, list) else () if named is None else (named,))
    eos = _constants(config).get("eos_token", "")
    return frozenset(ends | ({added[eos]} if eos in added else set()))


def _turn_end(text: ChatTokenizer) -> frozenset[int]:
    """The control token that the template writes behind an answer: many checkpoints do not name it."""
    if text.template is None:
        return frozenset()
    talk = ({"role": "user", "content": PROBE}, {"role": "assistant", "content": PROBE})
    try:
        rendered = text.template.render(talk, {"add_generation_prompt": False})
    except TemplateRefused:
        return frozenset()
    behind = text.control_tokens.arm(rendered.rpartition(PROBE)[2].lstrip())
    found = (alias for alias in text.control_tokens.aliases.values() if behind.startswith(alias))
    return frozenset(number for alias in found if (number := text.tokenizer.token_to_id(alias)) is not None)
