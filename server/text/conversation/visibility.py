"""Whether a chat template shows every text of a conversation, and in order. That depends on the roles and their order, not on what the
texts say. So it is tried with a word in the place of each text, and remembered for conversations of the same shape."""

import json
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from server.core.messages import Assistant, Message, ToolCall, ToolResult, images_of
from server.text.tool_calls.template_probe import read_arguments

MAX_SHAPES = 256
MAX_SHAPE = 1024  # messages of a conversation whose shape is remembered

Shape = Hashable


def shape(messages: Sequence[Message], variables: Mapping[str, Any], *, has_tools: bool, end: str) -> Shape | None:
    """What the rendering of a conversation depends on, besides its texts. None: too long to be remembered."""
    if len(messages) > MAX_SHAPE:
        return None
    known = json.dumps(variables, sort_keys=True, default=str)
    return (has_tools, end, known, tuple(_message_shape(message) for message in messages))


def _message_shape(message: Message) -> Shape:
    text = bool(message.text.strip())
    match message:
        case Assistant():
            calls = tuple(_arguments_shape(call) for call in message.tool_calls)
            return ("assistant", text, bool(message.reasoning), message.name is not None, calls)
        case ToolResult():
            return ("tool", text, len(message.images))
        case _:
            places = [image.at == 0 for image in images_of(message)]
            return (type(message).__name__, text, message.name is not None, tuple(places))


def _arguments_shape(call: ToolCall) -> str:
    arguments = read_arguments(call.arguments)
    return "raw" if arguments is None else "some" if arguments else "none"


@dataclass(slots=True)
class Words:
    """Words in the place of the texts of a conversation: those of each message, in order."""

    of_messages: list[list[str]] = field(default_factory=list[list[str]])

    def new(self) -> str:
        """A word of the last message."""
        word = f"stoaword{len(self.of_messages):05d}x{len(self.of_messages[-1]):05d}x"
        self.of_messages[-1].append(word)
        return word

    def are_in_order(self, prompt: str) -> bool:
        """Whether all of them occur, those of each message behind those of the one before."""
        end = 0
        for words in self.of_messages:
            places = [prompt.find(word, end) for word in words]
            if any(place < 0 for place in places):
                return False
            end = max((place + len(word) for place, word in zip(places, words, strict=True)), default=end)
        return True


def with_words(messages: Sequence[Message]) -> tuple[list[Message], Words]:
    """The conversation with a word in the place of each text that a template has to show: all but reasoning, of which templates leave
    out what is no longer needed."""
    words, replaced = Words(), list[Message]()
    for message in messages:
        words.of_messages.append([])
        text = words.new() if message.text.strip() else message.text
        if isinstance(message, Assistant):
            calls = tuple(replace(call, arguments=_arguments_with_word(call, words)) for call in message.tool_calls)
            replaced.append(replace(message, text=text, tool_calls=calls))
        else:
            images = tuple(replace(image, at=len(text) if image.at else 0, joint=False) for image in images_of(message))
            replaced.append(replace(message, text=text, images=images) if images else replace(message, text=text))
    return replaced, words


def _arguments_with_word(call: ToolCall, words: Words) -> str:
    kind = _arguments_shape(call)
    return "{}" if kind == "none" else words.new() if kind == "raw" else json.dumps({"stoa_key": words.new()})


class ArrangementCache:
    """For shapes of conversations the index of the first arrangement that works; () where none does. Least recently used ones are
    dropped. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[Shape, tuple[int, ...]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Shape | None) -> tuple[int, ...] | None:
        with self._lock:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return self._known[key]

    def put(self, key: Shape | None, indexes: tuple[int, ...]) -> None:
        if key is None:
            return
        with self._lock:
            self._known[key] = indexes
            while len(self._known) > MAX_SHAPES:
                self._known.popitem(last=False)
