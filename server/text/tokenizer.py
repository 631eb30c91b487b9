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
from server.text.control_tokens import ControlTokens, alias_spec, all_strings, find_control_tokens, unused_character
from server.text.detokenize import byte_decoder
from server.text.encode_cache import EncodeCache
from server.text.reasoning import ReasoningParser
from server.text.template import ChatTemplate, TemplateMessage, TemplateRefused
from server.text.tool_calls import template_probe
from server.text.tool_calls.api import Dialect
from server.text.tool_calls.detect import detect_dialect
from server.text.tool_calls.dialects.harmony import MARKERS, ChannelParser, Harmony
from server.text.tool_calls.template_probe import ToolTemplate

CALL_END_TOKENS = frozenset({"<|eom_id|>", "<|call|>", "<|return|>"})  # of turns that call; not every checkpoint names them
PROBE_ANSWER = "stoa"  # an answer to look behind, when searching the token that ends a turn
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
    in_reasoning: bool = False  # the template has already opened the model's thoughts
    delimiters: tuple[str, ...] = ()  # what encloses data in it, and nothing that is worth repeating


@dataclass(frozen=True)
class ChatTokenizer:
    backend: Tokenizer  # its control tokens are spelled by aliases
    control_tokens: ControlTokens
    template: ChatTemplate | None
    stop_tokens: frozenset[int]  # each ends the model's turn
    token_bytes: TokenBytes  # of every token
    visible_bytes: TokenBytes  # the same, but nothing for special tokens that are no markers
    dialect: Dialect  # that it calls tools in
    tool_template: ToolTemplate | None  # how its template is told of tools; None: it knows none
    special_tokens: frozenset[str]  # spellings that a grammar cannot match as text
    encode_cache: EncodeCache  # encodes what it has encoded before in no time

    @property
    def has_reasoning(self) -> bool:
        """The model may write its thoughts before its answer."""
        return self.template is not None and (reasoning.CLOSE in self.template.source or isinstance(self.dialect, Harmony))

    def reasoning_parser(self, prompt: Prompt) -> ReasoningParser | None:
        """Tells the thoughts of the answer to `prompt`. None: the model does not think."""
        if isinstance(self.dialect, Harmony):
            return ChannelParser()
        return reasoning.ThinkTagParser(in_reasoning=prompt.in_reasoning) if self.has_reasoning else None

    def encode(self, text: str, *, parse_special: bool = False, add_special: bool = False) -> tuple[int, ...]:
        """control: control tokens written in `text` count as such. special: with what the tokenizer adds (bos)."""
        armed = self.control_tokens.to_aliases(text) if parse_special else text
        return tuple(self.backend.encode(armed).ids) if add_special else self.encode_cache.encode(armed)

    def encode_chat(
        self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any] | None = None, tools: Sequence[TemplateMessage] = ()
    ) -> Prompt:
        """A conversation up to where the assistant speaks. `messages` and `tools` as templates know them: server/text/render.py
        makes them. Raises NoTemplate, TemplateRefused, NoMark."""
        rendered, mark = self._render(messages, variables or {}, tools)
        armed = self.control_tokens.to_aliases(rendered).replace(mark, "")
        return Prompt(tokens=self.encode(armed), in_reasoning=reasoning.opens_reasoning(rendered))

    def special_token_id(self, spelling: str) -> int | None:
        """The special token that is spelled so, as a grammar needs to know it."""
        alias = self.control_tokens.aliases.get(spelling)
        return self.backend.token_to_id(alias) if alias is not None and spelling in self.special_tokens else None

    def decode(self, tokens: Sequence[int]) -> str:
        """All that the tokens say, special ones too."""
        return self.control_tokens.from_aliases(self.backend.decode(list(tokens), skip_special_tokens=False))

    def _render(
        self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any], tools: Sequence[TemplateMessage]
    ) -> tuple[str, str]:
        """The prompt, with a mark around whatever in a message could spell a control token; and that mark."""
        if self.template is None:
            raise NoChatTemplate("this model has no chat template; use /v1/completions")
        mark = unused_character(all_strings((*messages, variables, *tools)))
        given = self.control_tokens.escape_strings(variables, mark)
        if tools:
            given["tools"] = [self.control_tokens.escape_strings(tool, mark) for tool in tools]
        try:
            return self.template.render([self.control_tokens.escape_strings(m, mark) for m in messages], given), mark
        except TemplateRefused as error:
            raise TemplateRefused(str(error).replace(mark, "")) from error


def load_tokenizer(directory: Path) -> ChatTokenizer:
    """Reads tokenizer.json, tokenizer_config.json and what else in a prepared directory says how a model speaks."""
    config, spec = _read_json(directory / "tokenizer_config.json"), _read_json(directory / "tokenizer.json")
    source = _template_source(directory, config)
    added: dict[str, int] = {t["content"]: t["id"] for t in spec["added_tokens"]}
    template = ChatTemplate(source, _template_constants(config)) if source else None
    told = template_probe.probe_tool_template(_probe_renderer(template)) if template else None
    dialect = detect_dialect(source if told else None, added)
    within = (*dialect.markers, *(MARKERS if isinstance(dialect, Harmony) else ()))
    markers = frozenset((*reasoning.MARKERS, *within))
    known = find_control_tokens(spec, source or "", markers)
    tokenizer, spelled, shown = _build_backend(spec, known, markers)
    ends = _configured_end_tokens(directory, config, added) | {added[end] for end in CALL_END_TOKENS & added.keys()}
    tokenizer_ = ChatTokenizer(
        backend=tokenizer,
        control_tokens=known,
        template=template,
        stop_tokens=ends,
        token_bytes=spelled,
        visible_bytes=shown,
        dialect=dialect,
        tool_template=told,
        special_tokens=_unmatchable_tokens(spec),
        encode_cache=EncodeCache(tokenizer, known.aliases.values()),
    )
    return replace(tokenizer_, stop_tokens=ends | _turn_end_tokens(tokenizer_) - {added.get(marker) for marker in within})


def _probe_renderer(template: ChatTemplate) -> template_probe.Render:
    def render(messages: Sequence[TemplateMessage], tools: Sequence[TemplateMessage]) -> str | None:
        try:
            return template.render(messages, {"tools": list(tools)})
        except TemplateRefused:
            return None

    return render


def _unmatchable_tokens(spec: Json) -> frozenset[str]:
    """Tokens that a grammar's text never matches (llguidance: what looks like a tag counts as special)."""
    names: list[tuple[str, bool]] = [(t["content"], t["special"]) for t in spec["added_tokens"]]
    return frozenset(name for name, special in names if special or (name.startswith("<") and name.endswith(">")))


def _build_backend(spec: Json, known: ControlTokens, markers: Container[str]) -> tuple[Tokenizer, TokenBytes, TokenBytes]:
    spell = byte_decoder(spec.get("decoder"))
    original = {alias: control for control, alias in known.aliases.items()}
    hidden = {t["id"] for t in spec["added_tokens"] if t["special"] and t["content"] not in markers}
    tokenizer = Tokenizer.from_str(json.dumps({**alias_spec(spec, known.aliases), "truncation": None, "padding": None}))

    def name(token: int) -> str:
        entry = tokenizer.id_to_token(token) or ""  # models pad their vocabulary
        return original.get(entry, entry)

    spelled = TokenBytes(lambda token: spell(name(token)))
    return tokenizer, spelled, TokenBytes(lambda token: b"" if token in hidden else spelled[token])


def _read_json(path: Path) -> Json:
    return json.loads(path.read_bytes()) if path.exists() else {}


def _template_source(directory: Path, config: Json) -> str | None:
    """chat_template.jinja, or the configuration's; of several named ones "default"."""
    if (file := directory / "chat_template.jinja").exists():
        return file.read_text()
    template: str | list[dict[str, str]] | None = config.get("chat_template")
    return {t["name"]: t["template"] for t in template}.get("default") if isinstance(template, list) else template


def _template_constants(config: Json) -> dict[str, str]:
    """What templates call bos_token, eos_token ... (older files wrap them in an object)."""
    found = {key: value for key, value in config.items() if key.endswith("_token") and value}
    return {key: value["content"] if isinstance(value, dict) else value for key, value in found.items() if not isinstance(value, bool)}


def _configured_end_tokens(directory: Path, config: Json, added: Mapping[str, int]) -> frozenset[int]:
    """End tokens that the checkpoint names."""
    ends: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        named: int | list[int] | None = _read_json(directory / name).get("eos_token_id")
        ends.update(named if isinstance(named, list) else () if named is None else (named,))
    eos = _template_constants(config).get("eos_token", "")
    return frozenset(ends | ({added[eos]} if eos in added else set()))


def _turn_end_tokens(tokenizer: ChatTokenizer) -> frozenset[int]:
    """The control token that the template writes behind an answer: many checkpoints do not name it."""
    if tokenizer.template is None:
        return frozenset()
    talk = ({"role": "user", "content": PROBE_ANSWER}, {"role": "assistant", "content": PROBE_ANSWER})
    try:
        rendered = tokenizer.template.render(talk, {"add_generation_prompt": False})
    except TemplateRefused:
        return frozenset()
    behind = tokenizer.control_tokens.to_aliases(rendered.rpartition(PROBE_ANSWER)[2].lstrip())
    found = (alias for alias in tokenizer.control_tokens.aliases.values() if behind.startswith(alias))
    return frozenset(number for alias in found if (number := tokenizer.backend.token_to_id(alias)) is not None)
