"""Converts text and conversations to token ids and back, for one model: its tokenizer, its chat template and the tokens that end its
turn. Untrusted text never becomes a control token (server/text/control_tokens.py); everything else is encoded exactly as by
transformers' apply_chat_template."""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from server.core.messages import Json, PromptEnd, SeenImage
from server.text.control_tokens import ControlTokens, alias_spec, all_strings, find_control_tokens, unused_character
from server.text.conversation.content_form import ContentForm, probe_content_form
from server.text.conversation.visibility import ArrangementCache
from server.text.detokenize import byte_decoder, writes_spaces
from server.text.encode_cache import EncodeCache, encode
from server.text.encoder_decoder.languages import LanguagePair
from server.text.encoder_decoder.reading import EncoderDecoder, read_encoder_decoder
from server.text.images.tokens import ImageTokens, image_words, own_template, probe_image_roles, read_image_tokens
from server.text.prompt import Prompt
from server.text.reasoning.api import Place, ReasoningFormat, Spelling, Thoughts
from server.text.reasoning.detect import detect_reasoning
from server.text.reasoning.effort import ThoughtControls, probe_controls
from server.text.reasoning.history import ThoughtField, ThoughtForm, probe_thought_form
from server.text.reasoning.reader import ThoughtReader
from server.text.reasoning.think import THINK
from server.text.sampling_defaults import STANDARD, SamplingDefaults
from server.text.template import ChatTemplate, TemplateMessage, TemplateRefused
from server.text.tool_calls import template_probe
from server.text.tool_calls.api import Dialect
from server.text.tool_calls.detect import detect_dialect
from server.text.tool_calls.template_probe import ToolTemplate

CALL_END_TOKENS = frozenset({"<|eom_id|>", "<|call|>", "<|return|>"})  # end turns with tool calls; not every checkpoint lists them
GENERATION = {"answer": {"add_generation_prompt": True}, "nothing": {"add_generation_prompt": False}}
TAIL = 2048  # characters of a prompt in which its last marks are looked for
PROBE_ANSWER = "stoa"  # content of a sample answer; the token after it ends a turn


class NoChatTemplate(ValueError):
    """A base model without a chat template: it can only complete text."""


class TokenBytes(dict[int, bytes]):
    """Token id -> its bytes, which may be a part of a character. Filled on demand."""

    def __init__(self, to_bytes: Callable[[int], bytes]) -> None:
        super().__init__()
        self._to_bytes = to_bytes

    def __missing__(self, token: int) -> bytes:
        self[token] = found = self._to_bytes(token)
        return found


@dataclass(frozen=True)
class ChatTokenizer:
    backend: Tokenizer  # with aliases in place of control tokens
    control_tokens: ControlTokens
    template: ChatTemplate | None
    stop_tokens: frozenset[int]  # each of them ends the model's turn
    token_bytes: TokenBytes  # of all tokens
    visible_bytes: TokenBytes  # the same, but b"" for special tokens that are not markers of reasoning or calls
    dialect: Dialect  # of its tool calls
    reasoning: ReasoningFormat | None  # None: it writes its answer at once
    thought_tokens: Mapping[int, str]  # the marks of `reasoning` that are tokens
    thought_form: ThoughtForm  # in which the template takes the thoughts of earlier answers
    thought_controls: ThoughtControls
    tool_template: ToolTemplate | None  # None: the chat template does not support tools
    special_tokens: frozenset[str]  # strings that a grammar matches only as tokens
    encode_cache: EncodeCache
    content_form: ContentForm  # of messages for the template
    arrangement_cache: ArrangementCache
    longest_token: int  # characters
    named_tokens: Mapping[str, str]  # bos_token, eos_token and the like
    encoder_decoder: EncoderDecoder | None = None  # None: the model goes on with what it reads
    image_tokens: ImageTokens | None = None  # None: it reads no images
    sampling: SamplingDefaults = STANDARD  # an encoder-decoder has its own

    def fits(self, characters: int, context: int) -> bool:
        """Whether a text of this length may fit into so many tokens: to be found out before anything is done with it."""
        return characters <= context * self.longest_token

    @property
    def takes_messages(self) -> bool:
        """Whether a conversation can become a prompt."""
        return self.template is not None or self.encoder_decoder is not None

    def for_owner(self, owner: str) -> "ChatTokenizer":
        """The same, with a cache of what `owner` has sent."""
        return replace(self, encode_cache=self.encode_cache.for_owner(owner))

    def thoughts(self, prompt: Prompt) -> Thoughts | None:
        """What comes before the answer to `prompt`; None: nothing can."""
        return None if self.reasoning is None else Thoughts(self.reasoning, prompt.place)

    def thought_reader(self, thoughts: Thoughts, token_bytes: Mapping[int, bytes] | None = None) -> ThoughtReader[Any]:
        """`token_bytes`: those that are shown; None: `visible_bytes`."""
        spelling = Spelling(frozenset(self.thought_tokens.values()))
        call_marks = [mark for mark in self.dialect.call_marks if mark in self.control_tokens.aliases]
        parser = thoughts.format.parser(thoughts.place, spelling, call_marks)
        marks = {**self.thought_tokens, **{number: mark for mark in call_marks if (number := self.control_token_id(mark)) is not None}}
        return ThoughtReader(parser, self.visible_bytes if token_bytes is None else token_bytes, marks)

    def encode(self, text: str, *, parse_special: bool = False, add_special: bool = False) -> tuple[int, ...]:
        """`parse_special`: control tokens written in `text` are encoded as such. `add_special`: with the tokens that the tokenizer adds,
        such as bos."""
        text = self.control_tokens.to_aliases(text) if parse_special else text
        return encode(self.backend, text, add_special=True) if add_special else self.encode_cache.encode(text)

    def encode_input(self, model: EncoderDecoder, text: str, pair: LanguagePair, begun: str = "", *, parse_special: bool = False) -> Prompt:
        """What `model`, this tokenizer's, reads of a text. `begun`: of an answer that is to be continued. Raises LanguageError."""
        tokens = self.encode(model.prefix(pair) + text, parse_special=parse_special)
        return model.prompt(tokens, pair, self.encode(begun) if begun else ())

    def encode_chat(
        self,
        messages: Sequence[TemplateMessage],
        variables: Mapping[str, Any] | None = None,
        tools: Sequence[TemplateMessage] = (),
        end: PromptEnd = "answer",
        continuation: str = "",
        images: Sequence[SeenImage] = (),
    ) -> Prompt:
        """The prompt for the assistant's next message. `messages` and `tools` are in the template's format
        (server/text/conversation/render.py); `images` are those in the contents, which are text otherwise. `continuation`: text of that
        message which is there already. Raises NoChatTemplate, TemplateRefused, NoUnusedCharacter."""
        if end == "continued":
            continuation, head, escape_char = messages[-1]["content"], *self._render_before(messages, variables or {}, tools)
        else:
            head, escape_char = self._render(messages, {**(variables or {}), **GENERATION[end]}, tools)
        place = self._place(head)
        if continuation and self.reasoning is not None:
            if place == "thoughts":
                head = f"{head.rstrip()}\n{self.reasoning.end(calls=False)}"
            place = "answer"
        text = self.control_tokens.to_aliases(head).replace(escape_char, "")
        if self.image_tokens is None or not images:
            return Prompt(tokens=self.encode(text + continuation), place=place)
        text = self.image_tokens.expanded(text, images, self.control_tokens)
        tokens, placed = self.image_tokens.placed(self.encode(text + continuation), images)
        return Prompt(tokens=tokens, place=place, images=placed)

    def _place(self, rendered: str) -> Place:
        if self.reasoning is None:
            return "answer"
        tail, marks = rendered[-TAIL:], frozenset(self.reasoning.marks)
        others = [found.end() for found in self.control_tokens.pattern.finditer(tail) if found[0] not in marks]
        return self.reasoning.place(rendered, tail[others[-1] :] if others else tail)

    def control_token_id(self, token: str) -> int | None:
        alias = self.control_tokens.aliases.get(token)
        return None if alias is None else self.backend.token_to_id(alias)

    def special_token_id(self, token: str) -> int | None:
        """The id of a special token, for grammars; None if `token` is ordinary text for them."""
        alias = self.control_tokens.aliases.get(token)
        return self.backend.token_to_id(alias) if alias is not None and token in self.special_tokens else None

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of all tokens, special ones included."""
        return self.control_tokens.from_aliases(self.backend.decode(list(tokens), skip_special_tokens=False))

    def _render_before(
        self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any], tools: Sequence[TemplateMessage]
    ) -> tuple[str, str]:
        """As `_render`, up to the content of the last message."""
        whole = [*messages[:-1], {**messages[-1], "content": PROBE_ANSWER}]
        rendered, escape_char = self._render(whole, {**variables, **GENERATION["nothing"]}, tools)
        head, found, _ = rendered.rpartition(self.control_tokens.escape(PROBE_ANSWER, escape_char))
        if not found:
            raise TemplateRefused("this model's chat template does not show the answer that is to be continued")
        return head, escape_char

    def _render(
        self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any], tools: Sequence[TemplateMessage]
    ) -> tuple[str, str]:
        """The prompt, with an escape character around whatever in a message could form a control token; and that character."""
        if self.template is None:
            raise NoChatTemplate("this model has no chat template; use /v1/completions")
        escape_char = unused_character(all_strings((*messages, variables, *tools)))
        escaped = self.control_tokens.escape_strings(variables, escape_char)
        if tools:
            escaped["tools"] = [self.control_tokens.escape_strings(tool, escape_char) for tool in tools]
        formed = [self.control_tokens.escape_strings(self.content_form.apply(message), escape_char) for message in messages]
        try:
            return self.template.render(formed, escaped), escape_char
        except TemplateRefused as error:
            raise TemplateRefused(str(error).replace(escape_char, "")) from error


def load_tokenizer(directory: Path) -> ChatTokenizer:
    """Reads tokenizer.json, tokenizer_config.json, the chat template and the end tokens from a model's directory."""
    config, spec = _read_json(directory / "tokenizer_config.json"), _read_json(directory / "tokenizer.json")
    model, generation = _read_json(directory / "config.json"), _read_json(directory / "generation_config.json")
    if not {"model", "added_tokens"} <= spec.keys():
        raise ValueError(f"{directory / 'tokenizer.json'} holds no tokenizer")
    source = _template_source(directory, config) or own_template(model)
    added: dict[str, int] = {t["content"]: t["id"] for t in spec["added_tokens"]}
    named_tokens = _named_tokens(config)
    template = ChatTemplate(source, named_tokens) if source else None
    content_form, tool_template = _probe_template(template) if template else (ContentForm(), None)
    reasoning = detect_reasoning(source)
    thought_form, controls = _probe_thoughts(template, reasoning, content_form) if template else (ThoughtField(), ThoughtControls())
    dialect = detect_dialect(source if tool_template else None, added)
    thought_marks = reasoning.marks if reasoning else ()
    dialect_markers = (*dialect.markers, *thought_marks)
    markers = frozenset((*THINK.marks, *dialect_markers))
    image_tokens = read_image_tokens(model, added)
    image_marks = () if image_tokens is None else (image_tokens.mark, image_tokens.row, *image_words(added))
    known = markers.union(image_marks)
    control_tokens = find_control_tokens(spec, source or "", known, spelled=[mark for mark in thought_marks if mark not in added])
    if template is not None and image_tokens is not None:
        roles = probe_image_roles(partial(_try_render, template, form=ContentForm()), image_tokens.mark)
        image_tokens = replace(image_tokens, in_parts=roles)
    backend = _build_backend(spec, control_tokens)
    token_bytes, visible_bytes = _token_bytes(spec, backend, control_tokens, markers)
    stop_tokens = _configured_end_tokens(directory, config, added) | {added[end] for end in CALL_END_TOKENS & added.keys()}
    tokenizer = ChatTokenizer(
        backend=backend,
        control_tokens=control_tokens,
        template=template,
        stop_tokens=stop_tokens,
        token_bytes=token_bytes,
        visible_bytes=visible_bytes,
        dialect=dialect,
        reasoning=reasoning,
        thought_form=thought_form,
        thought_controls=controls,
        thought_tokens={added[mark]: mark for mark in thought_marks if mark in added},
        tool_template=tool_template,
        special_tokens=_unmatchable_tokens(spec),
        encode_cache=EncodeCache(backend, control_tokens.aliases.values()),
        content_form=content_form,
        arrangement_cache=ArrangementCache(),
        longest_token=_longest_token(spec),
        named_tokens=named_tokens,
        encoder_decoder=read_encoder_decoder(model, generation, config, spec, backend, spaced=writes_spaces(spec.get("decoder"))),
        image_tokens=image_tokens,
    )
    turn_ends = _turn_end_tokens(tokenizer) - {added.get(marker) for marker in dialect_markers}
    return replace(tokenizer, stop_tokens=stop_tokens | turn_ends)


def _longest_token(spec: Json) -> int:
    """Characters of the longest entry; a Unigram vocabulary is a list of entries with their scores."""
    vocab: dict[str, int] | list[tuple[str, float]] = spec["model"]["vocab"]
    entries = vocab if isinstance(vocab, dict) else (entry for entry, _ in vocab)
    return max(map(len, chain(entries, (token["content"] for token in spec["added_tokens"]))), default=1)


def _probe_template(template: ChatTemplate) -> tuple[ContentForm, ToolTemplate | None]:
    """The forms of messages and of tools that it takes."""
    form = probe_content_form(partial(_try_render, template, form=ContentForm()))
    for tried in (form, ContentForm(form.parts | {"tool"})):
        if (found := template_probe.probe_tool_template(partial(_try_render, template, form=tried))) is not None:
            return tried, found
    return form, None


def _try_render(
    template: ChatTemplate, messages: Sequence[TemplateMessage], tools: Sequence[TemplateMessage] = (), *, form: ContentForm
) -> str | None:
    try:
        return template.render([form.apply(message) for message in messages], {"tools": list(tools)} if tools else {})
    except TemplateRefused:
        return None


def _probe_thoughts(template: ChatTemplate, reasoning: ReasoningFormat | None, form: ContentForm) -> tuple[ThoughtForm, ThoughtControls]:
    def render_with(variables: Mapping[str, Any]) -> str | None:
        try:
            return template.render([form.apply({"role": "user", "content": PROBE_ANSWER})], variables)
        except TemplateRefused:
            return None

    return probe_thought_form(partial(_try_render, template, form=form)), probe_controls(template.variables, reasoning, render_with)


def _unmatchable_tokens(spec: Json) -> frozenset[str]:
    """Tokens that text in a grammar never matches; for llguidance these include all that look like tags."""
    added: list[tuple[str, bool]] = [(t["content"], t["special"]) for t in spec["added_tokens"]]
    return frozenset(name for name, special in added if special or (name.startswith("<") and name.endswith(">")))


def _build_backend(spec: Json, control_tokens: ControlTokens) -> Tokenizer:
    return Tokenizer.from_str(json.dumps({**alias_spec(spec, control_tokens.aliases), "truncation": None, "padding": None}))


def _token_bytes(spec: Json, backend: Tokenizer, control_tokens: ControlTokens, markers: Container[str]) -> tuple[TokenBytes, TokenBytes]:
    """The bytes of all tokens, and the same without special tokens other than `markers`."""
    decode = byte_decoder(spec.get("decoder"))
    control_token = {alias: control for control, alias in control_tokens.aliases.items()}
    hidden = {t["id"] for t in spec["added_tokens"] if t["special"] and t["content"] not in markers}

    def to_bytes(token: int) -> bytes:
        entry = backend.id_to_token(token) or ""  # "": ids that pad the model's vocabulary
        return decode(control_token.get(entry, entry))

    token_bytes = TokenBytes(to_bytes)
    return token_bytes, TokenBytes(lambda token: b"" if token in hidden else token_bytes[token])


def _read_json(path: Path) -> Json:
    """Raises ValueError that names the file."""
    try:
        return json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _template_source(directory: Path, config: Json) -> str | None:
    """The content of chat_template.jinja, or else the template in the configuration; of several named ones "default"."""
    if (file := directory / "chat_template.jinja").exists():
        return file.read_text()
    template: str | list[dict[str, str]] | None = config.get("chat_template")
    return {t["name"]: t["template"] for t in template}.get("default") if isinstance(template, list) else template


def _named_tokens(config: Json) -> dict[str, str]:
    """Older files wrap each in an object."""
    found = {key: value for key, value in config.items() if key.endswith("_token") and value}
    return {key: value["content"] if isinstance(value, dict) else value for key, value in found.items() if not isinstance(value, bool)}


def _configured_end_tokens(directory: Path, config: Json, added: Mapping[str, int]) -> frozenset[int]:
    """End tokens that the checkpoint's configuration files list."""
    ends: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        listed: int | list[int] | None = _read_json(directory / name).get("eos_token_id")
        ends.update(listed if isinstance(listed, list) else () if listed is None else (listed,))
    eos = _named_tokens(config).get("eos_token", "")
    return frozenset(ends | ({added[eos]} if eos in added else set()))


def _turn_end_tokens(tokenizer: ChatTokenizer) -> frozenset[int]:
    """The control token that the template writes after an answer (empty if none): many checkpoints do not list it as an end token."""
    if tokenizer.template is None:
        return frozenset()
    messages = ({"role": "user", "content": PROBE_ANSWER}, {"role": "assistant", "content": PROBE_ANSWER})
    try:
        rendered = tokenizer.template.render([tokenizer.content_form.apply(message) for message in messages], GENERATION["nothing"])
    except TemplateRefused:
        return frozenset()
    after_answer = tokenizer.control_tokens.to_aliases(rendered.rpartition(PROBE_ANSWER)[2].lstrip())
    found = (alias for alias in tokenizer.control_tokens.aliases.values() if after_answer.startswith(alias))
    return frozenset(number for alias in found if (number := tokenizer.backend.token_to_id(alias)) is not None)
