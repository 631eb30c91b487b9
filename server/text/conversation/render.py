"""Renders a conversation with a checkpoint's chat template: messages and tools in, prompt out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.core.errors import bad_request
from server.core.messages import Assistant, Message, PromptEnd, System, Tool, ToolResult, User, seen_images
from server.text.control_tokens import NoUnusedCharacter
from server.text.conversation.adapt_messages import result_delimiters, split_parallel_calls
from server.text.conversation.arrangements import Arrangement, arrangements
from server.text.conversation.visibility import shape, with_words
from server.text.encoder_decoder import conversation
from server.text.encoder_decoder.reading import EncoderDecoder
from server.text.prompt import Prompt
from server.text.reasoning.api import ReasoningSplit
from server.text.template import ChatTemplate, TemplateMessage, TemplateRefused
from server.text.tokenizer import GENERATION, ChatTokenizer, NoChatTemplate
from server.text.tool_calls import template_probe
from server.text.tool_calls.template_probe import ToolTemplate


def render(
    tokenizer: ChatTokenizer,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    variables: Mapping[str, Any] | None = None,
    field: str = "messages",
    end: PromptEnd = "answer",
) -> Prompt:
    """`variables`: of the template, beyond the usual ones. `field`: the name of the messages in the request, for errors. Every text of
    the conversation is in the prompt. Raises ApiError."""
    if tokenizer.encoder_decoder is not None:
        return _read(tokenizer, tokenizer.encoder_decoder, messages, variables or {}, field, end)
    if tokenizer.template is None:
        raise bad_request(field, "this model has no chat template; use /v1/completions")
    if tokenizer.tool_template is not None and tokenizer.tool_template.single_call:
        messages = list(split_parallel_calls(messages))
    rendering = _Conversation(tokenizer, tokenizer.template, messages, tools, variables or {}, end)
    try:
        return rendering.continued_prompt() if end == "continued" else rendering.prompt()
    except (NoChatTemplate, TemplateRefused, NoUnusedCharacter) as error:
        raise bad_request(field, str(error)) from error


def _read(
    tokenizer: ChatTokenizer,
    model: EncoderDecoder,
    messages: Sequence[Message],
    variables: Mapping[str, Any],
    field: str,
    end: PromptEnd,
) -> Prompt:
    """Of an encoder-decoder: the conversation is read, and a beginning of the answer is no part of it."""
    last = messages[-1]
    begun = last.text if end == "continued" and isinstance(last, Assistant) else ""
    messages, pair = messages[:-1] if begun else messages, conversation.pair_of(variables)
    with conversation.language_errors():
        if tokenizer.template is None:
            return tokenizer.encode_input(model, conversation.text_of(model, messages, field), pair, begun)
        try:
            tokens = _Conversation(tokenizer, tokenizer.template, messages, (), variables, "answer").prompt().tokens
        except (TemplateRefused, NoUnusedCharacter) as error:
            raise bad_request(field, str(error)) from error
        return model.prompt(tokens, pair, tokenizer.encode(begun) if begun else ())


def count_characters(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    """Approximate length of the prompt."""
    calls = (call for message in messages if isinstance(message, Assistant) for call in message.tool_calls)
    arguments, texts = sum(len(call.arguments) for call in calls), sum(len(message.text) for message in messages)
    return texts + arguments + sum(len(tool.description) + len(json.dumps(tool.parameters, default=dict)) for tool in tools)


@dataclass(frozen=True, slots=True)
class _Conversation:
    tokenizer: ChatTokenizer
    template: ChatTemplate
    messages: Sequence[Message]
    tools: Sequence[Tool]
    variables: Mapping[str, Any]
    end: PromptEnd
    continuation: str = ""  # see ChatTokenizer.encode_chat

    def continued_prompt(self) -> Prompt:
        """Where the template takes no answer at the end, the last message stands behind the beginning of a new one."""
        try:
            return self.prompt()
        except TemplateRefused:
            return replace(self, messages=self.messages[:-1], end="answer", continuation=self.messages[-1].text).prompt()

    def prompt(self) -> Prompt:
        """By the first arrangement with which the template shows everything. Raises TemplateRefused, NoUnusedCharacter."""
        ways = arrangements(names=self.template.shows_names, tools=self.tokenizer.tool_template is not None)
        key, cache = shape(self.messages, self.variables, has_tools=bool(self.tools), end=self.end), self.tokenizer.arrangement_cache
        known = cache.get(key)
        fitting = (i for i, way in enumerate(ways) if self._shows_everything(way)) if known is None else iter(known)
        for index in fitting:
            try:
                prompt = self._encode(ways[index])
            except TemplateRefused:
                continue  # because of what a text says
            cache.put(key, (index,))
            return prompt
        cache.put(key, ())
        self._encode(ways[0])  # raises the template's own error
        raise TemplateRefused("this model's chat template leaves out a part of this conversation, however it is arranged")

    def _encode(self, way: Arrangement) -> Prompt:
        arranged = [*self._template_messages(way, self.messages, self.tools)]
        entries = self._tool_entries(way, self.tools)
        images = seen_images(self.messages)
        prompt = self.tokenizer.encode_chat(arranged, self.variables, entries, self.end, self.continuation, images)
        return replace(prompt, delimiters=result_delimiters(self.messages)) if way.tools_as_text else prompt

    def _shows_everything(self, way: Arrangement) -> bool:
        messages, words = with_words(self.messages)
        entries = self._tool_entries(way, [template_probe.TOOL] if self.tools else [])
        variables = {**self.variables, **GENERATION["answer" if self.end == "answer" else "nothing"]}
        arranged = self._template_messages(way, messages, [template_probe.TOOL] if self.tools else [])
        try:
            formed = [self.tokenizer.content_form.apply(message) for message in arranged]
            prompt = self.template.render(formed, {**variables, "tools": entries} if entries else variables)
        except TemplateRefused:
            return False
        return words.are_in_order(prompt) and (not self.tools or template_probe.TOOL.description in prompt)

    def _template_messages(self, way: Arrangement, messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[TemplateMessage]:
        tool_template = self.tokenizer.tool_template or ToolTemplate()
        return (_template_message(self.tokenizer, tool_template, message) for message in way.apply(messages, tools))

    def _tool_entries(self, way: Arrangement, tools: Sequence[Tool]) -> list[TemplateMessage]:
        tool_template = None if way.tools_as_text else self.tokenizer.tool_template
        return [] if tool_template is None else [tool_template.tool_entry(tool) for tool in tools]


def _template_message(tokenizer: ChatTokenizer, tool_template: ToolTemplate, message: Message) -> TemplateMessage:
    match message:
        case System():
            return _with_name({"role": "system", "content": message.text}, message.name)
        case User():
            return _with_name({"role": "user", "content": _user_content(tokenizer, message)}, message.name)
        case ToolResult():
            return tool_template.tool_message(message)
        case Assistant():
            split = tokenizer.reasoning.split(message.text) if tokenizer.reasoning else ReasoningSplit(answer=message.text)
            reasoning = message.reasoning or split.reasoning
            calls = tool_template.assistant_fields(replace(message, text=split.answer))
            fields = {"role": "assistant", "content": split.answer, **calls}
            return _with_name(tokenizer.thought_form.add(fields, reasoning) if reasoning else fields, message.name)


def _user_content(tokenizer: ChatTokenizer, message: User) -> Any:
    if not message.images:
        return message.text
    if tokenizer.image_tokens is None:
        raise TemplateRefused("this model reads no images")
    return tokenizer.image_tokens.content("user", message.text, message.images, tokenizer.control_tokens)


def _with_name(message: dict[str, Any], name: str | None) -> TemplateMessage:
    return message if name is None else {**message, "name": name}
