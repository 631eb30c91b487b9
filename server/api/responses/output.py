"""Output items as they come to be, and the events that tell of them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from server.api.responses.ids import Ids
from server.api.responses.items import seal
from server.core.messages import Json

Ending = Literal["completed", "incomplete"]
CLOSED = -32000  # code of JSON-RPC, as MCP uses it
UNKNOWN: Json = {"type": "mcp_protocol_error", "code": CLOSED, "message": "cut off while it ran: whether it has done anything is unknown"}
CUT: dict[str, Json] = {  # how items end whose end never came
    "file_search_call": {"status": "incomplete"},
    "mcp_list_tools": {"error": "cut off before the server answered"},
    "mcp_call": {"status": "incomplete", "error": UNKNOWN},
}


@dataclass(slots=True)
class Record:
    ids: Ids
    output: list[Json] = field(default_factory=list[Json])
    _open: dict[int, Callable[[], None]] = field(default_factory=dict[int, Callable[[], None]])  # how items end that are cut off
    _told: list[Json] = field(default_factory=list[Json])

    def tell(self, kind: str, **fields: object) -> None:
        self._told.append({"type": f"response.{kind}", **fields})

    def take(self) -> list[Json]:
        """What has been told since the last time, in order; without numbers."""
        told, self._told = self._told, []
        return told

    def begin(self, kind: str, **fields: object) -> "Item":
        item: Json = {"id": self.ids.item(kind), "type": kind, **fields}
        self.output.append(item)
        self.tell("output_item.added", output_index=len(self.output) - 1, item=deepcopy(item))
        begun = Item(self, len(self.output) - 1, item)
        self.on_cut(begun.index, partial(begun.end, **CUT.get(kind, {})))
        return begun

    def cut(self) -> list[Json]:
        """Nothing more happens: items that are being made end as they are. What has not been told yet."""
        for end in list(self._open.values()):
            end()
        return self.take()

    def on_cut(self, index: int, end: Callable[[], None] | None) -> None:
        """None: the item has come to its end."""
        if end is None:
            self._open.pop(index, None)
        else:
            self._open[index] = end


@dataclass(frozen=True, slots=True)
class Item:
    """One that is being made."""

    record: Record
    index: int
    fields: Json

    def tell(self, kind: str, **fields: object) -> None:
        self.record.tell(kind, item_id=self.fields["id"], output_index=self.index, **fields)

    def end(self, **fields: object) -> None:
        self.fields.update(fields)
        self.record.on_cut(self.index, None)
        self.record.tell("output_item.done", output_index=self.index, item=self.fields)


class Message:
    """An answer that is being said."""

    def __init__(self, record: Record) -> None:
        self._item = record.begin("message", role="assistant", status="in_progress", content=[])
        self._part: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._said: list[str] = []
        record.on_cut(self._item.index, lambda: self.end("incomplete"))
        self._item.tell("content_part.added", content_index=0, part=deepcopy(self._part))

    def say(self, delta: str, logprobs: Sequence[Json]) -> None:
        self._said.append(delta)
        self._part["logprobs"] += logprobs
        self._item.tell("output_text.delta", content_index=0, delta=delta, logprobs=list(logprobs))

    def annotate(self, annotation: Json) -> None:
        known: list[Json] = self._part["annotations"]
        self._item.tell("output_text.annotation.added", content_index=0, annotation_index=len(known), annotation=annotation)
        known.append(annotation)

    def end(self, status: Ending) -> None:
        text = self._part["text"] = "".join(self._said)
        self._item.tell("output_text.done", content_index=0, text=text, logprobs=self._part["logprobs"])
        self._item.tell("content_part.done", content_index=0, part=self._part)
        self._item.end(content=[self._part], status=status)


class Thoughts:
    """Reasoning that is going on. With a `summary` it is told a second time, as that."""

    def __init__(self, record: Record, *, summary: bool) -> None:
        self._item = record.begin("reasoning", summary=[], content=[], encrypted_content=None, status="in_progress")
        self._said: list[str] = []
        self._summary = Summary(self._item) if summary else None
        record.on_cut(self._item.index, lambda: self.end("incomplete"))
        self._item.tell("content_part.added", content_index=0, part={"type": "reasoning_text", "text": ""})

    def think(self, delta: str) -> None:
        self._said.append(delta)
        self._item.tell("reasoning_text.delta", content_index=0, delta=delta)
        if self._summary is not None:
            self._summary.tell(delta)

    def end(self, status: Ending) -> None:
        part = {"type": "reasoning_text", "text": "".join(self._said)}
        self._item.tell("reasoning_text.done", content_index=0, text=part["text"])
        self._item.tell("content_part.done", content_index=0, part=part)
        summary = [] if self._summary is None else [self._summary.end(part["text"], status)]
        self._item.end(content=[part], summary=summary, encrypted_content=seal(part["text"]), status=status)


class Summary:
    """Of thoughts, in one part, which begins with the first of them."""

    def __init__(self, thoughts: Item) -> None:
        self._item = thoughts
        self._item.tell("reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""})

    def tell(self, delta: str) -> None:
        self._item.tell("reasoning_summary_text.delta", summary_index=0, delta=delta)

    def end(self, text: str, status: Ending) -> Json:
        """The whole part."""
        part = {"type": "summary_text", "text": text}
        cut = {"status": status} if status == "incomplete" else {}
        self._item.tell("reasoning_summary_text.done", summary_index=0, text=text)
        self._item.tell("reasoning_summary_part.done", summary_index=0, part=part, **cut)
        return part


class FunctionCall:
    """A call for the client that is being written."""

    def __init__(self, record: Record, call_id: str, name: str) -> None:
        self._name, self._written = name, list[str]()
        self._item = record.begin("function_call", call_id=call_id, name=name, arguments="", status="in_progress")
        record.on_cut(self._item.index, lambda: self.end("incomplete"))

    @property
    def arguments(self) -> str:
        return "".join(self._written)

    def write(self, delta: str) -> None:
        self._written.append(delta)
        self._item.tell("function_call_arguments.delta", delta=delta)

    def end(self, status: Ending) -> None:
        self._item.tell("function_call_arguments.done", name=self._name, arguments=self.arguments)
        self._item.end(arguments=self.arguments, status=status)
