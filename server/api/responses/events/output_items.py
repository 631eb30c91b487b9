"""Output items under construction. Each change of an item adds an event (without `sequence_number`) to OutputItems."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from server.api.responses.events.server_tools import CONNECTION_CLOSED
from server.api.responses.ids import IdGenerator
from server.api.responses.input_items import encode_reasoning
from server.core.messages import Json

FinalStatus = Literal["completed", "incomplete"]
INTERRUPTED_CALL: Json = {
    "type": "mcp_protocol_error",
    "code": CONNECTION_CLOSED,
    "message": "cut off while it ran: whether it has done anything is unknown",
}
INTERRUPTED: dict[str, Json] = {  # by item type: the fields that an item gets if generation ends before the item does
    "file_search_call": {"status": "incomplete"},
    "mcp_list_tools": {"error": "cut off before the server answered"},
    "mcp_call": {"status": "incomplete", "error": INTERRUPTED_CALL},
}


@dataclass(slots=True)
class OutputItems:
    """A response's output, and the events that were not taken yet."""

    ids: IdGenerator
    output: list[Json] = field(default_factory=list[Json])
    _on_interrupt: dict[int, Callable[[], None]] = field(default_factory=dict[int, Callable[[], None]])  # by index, of open items
    _events: list[Json] = field(default_factory=list[Json])

    def emit(self, event_type: str, **fields: object) -> None:
        """`event_type` without the prefix "response."."""
        self._events.append({"type": f"response.{event_type}", **fields})

    def take_events(self) -> list[Json]:
        """The events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def add_item(self, item_type: str, **fields: object) -> "ItemBuilder":
        item: Json = {"id": self.ids.new_item_id(item_type), "type": item_type, **fields}
        self.output.append(item)
        self.emit("output_item.added", output_index=len(self.output) - 1, item=deepcopy(item))
        builder = ItemBuilder(self, len(self.output) - 1, item)
        self.on_interrupt(builder.index, partial(builder.finish, **INTERRUPTED.get(item_type, {})))
        return builder

    def interrupt(self) -> list[Json]:
        """Finishes all open items as they are, and returns the events since the last take_events."""
        for finish in list(self._on_interrupt.values()):
            finish()
        return self.take_events()

    def on_interrupt(self, index: int, finish: Callable[[], None] | None) -> None:
        """Sets what finishes an open item if generation is interrupted. None: the item is finished."""
        if finish is None:
            self._on_interrupt.pop(index, None)
        else:
            self._on_interrupt[index] = finish


@dataclass(frozen=True, slots=True)
class ItemBuilder:
    """An output item that is not finished yet."""

    items: OutputItems
    index: int
    fields: Json

    def emit(self, event_type: str, **fields: object) -> None:
        self.items.emit(event_type, item_id=self.fields["id"], output_index=self.index, **fields)

    def finish(self, **fields: object) -> None:
        self.fields.update(fields)
        self.items.on_interrupt(self.index, None)
        self.items.emit("output_item.done", output_index=self.index, item=self.fields)


class MessageBuilder:
    """A `message` item with one part of text."""

    def __init__(self, items: OutputItems) -> None:
        self._item = items.add_item("message", role="assistant", status="in_progress", content=[])
        self._part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._deltas: list[str] = []
        items.on_interrupt(self._item.index, lambda: self.finish("incomplete"))
        self._item.emit("content_part.added", content_index=0, part=deepcopy(self._part))

    def append(self, delta: str, logprobs: Sequence[Json]) -> None:
        self._deltas.append(delta)
        self._part["logprobs"] += logprobs
        self._item.emit("output_text.delta", content_index=0, delta=delta, logprobs=list(logprobs))

    def annotate(self, annotation: Json) -> None:
        annotations: list[Json] = self._part["annotations"]
        self._item.emit("output_text.annotation.added", content_index=0, annotation_index=len(annotations), annotation=annotation)
        annotations.append(annotation)

    def finish(self, status: FinalStatus) -> None:
        text = self._part["text"] = "".join(self._deltas)
        self._item.emit("output_text.done", content_index=0, text=text, logprobs=self._part["logprobs"])
        self._item.emit("content_part.done", content_index=0, part=self._part)
        self._item.finish(content=[self._part], status=status)


class ReasoningBuilder:
    """A `reasoning` item. With `summary` the reasoning text is also sent as the item's summary."""

    def __init__(self, items: OutputItems, *, summary: bool) -> None:
        self._item = items.add_item("reasoning", summary=[], content=[], encrypted_content=None, status="in_progress")
        self._deltas: list[str] = []
        self._summary = SummaryBuilder(self._item) if summary else None
        items.on_interrupt(self._item.index, lambda: self.finish("incomplete"))
        self._item.emit("content_part.added", content_index=0, part={"type": "reasoning_text", "text": ""})

    def append(self, delta: str) -> None:
        self._deltas.append(delta)
        self._item.emit("reasoning_text.delta", content_index=0, delta=delta)
        if self._summary is not None:
            self._summary.append(delta)

    def finish(self, status: FinalStatus) -> None:
        part = {"type": "reasoning_text", "text": "".join(self._deltas)}
        self._item.emit("reasoning_text.done", content_index=0, text=part["text"])
        self._item.emit("content_part.done", content_index=0, part=part)
        summary = [] if self._summary is None else [self._summary.finish(part["text"], status)]
        self._item.finish(content=[part], summary=summary, encrypted_content=encode_reasoning(part["text"]), status=status)


class SummaryBuilder:
    """The only summary part of a `reasoning` item."""

    def __init__(self, item: ItemBuilder) -> None:
        self._item = item
        self._item.emit("reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""})

    def append(self, delta: str) -> None:
        self._item.emit("reasoning_summary_text.delta", summary_index=0, delta=delta)

    def finish(self, text: str, status: FinalStatus) -> Json:
        """Returns the finished part; `text` is all of its text."""
        part = {"type": "summary_text", "text": text}
        incomplete = {"status": status} if status == "incomplete" else {}
        self._item.emit("reasoning_summary_text.done", summary_index=0, text=text)
        self._item.emit("reasoning_summary_part.done", summary_index=0, part=part, **incomplete)
        return part
