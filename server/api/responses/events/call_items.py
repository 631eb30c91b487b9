"""Output items of calls of tools that the client runs."""

from server.api.responses.client_tools import ClientTool, custom_input
from server.api.responses.events.output_items import FinalStatus, ItemBuilder, OutputItems
from server.core.messages import Json


class FunctionCallBuilder:
    """A `function_call` item."""

    def __init__(self, items: OutputItems, call_id: str, tool: ClientTool) -> None:
        self._name, self._deltas = tool.name, list[str]()
        self._item = _add_item(items, "function_call", call_id, tool, arguments="")
        items.on_interrupt(self._item.index, lambda: self.finish("incomplete"))

    @property
    def arguments(self) -> str:
        return "".join(self._deltas)

    def append(self, delta: str) -> None:
        self._deltas.append(delta)
        self._item.emit("function_call_arguments.delta", delta=delta)

    def finish(self, status: FinalStatus) -> None:
        self._item.emit("function_call_arguments.done", name=self._name, arguments=self.arguments)
        self._item.finish(arguments=self.arguments, status=status)


class CustomCallBuilder:
    """A `custom_tool_call` item. Its text is sent as one delta, when the call is complete."""

    def __init__(self, items: OutputItems, call_id: str, tool: ClientTool) -> None:
        self._deltas = list[str]()
        self._item = _add_item(items, "custom_tool_call", call_id, tool, input="")
        items.on_interrupt(self._item.index, lambda: self.finish("incomplete"))

    @property
    def arguments(self) -> str:
        return "".join(self._deltas)

    def append(self, delta: str) -> None:
        self._deltas.append(delta)

    def finish(self, status: FinalStatus) -> None:
        text = custom_input(self.arguments)
        self._item.emit("custom_tool_call_input.delta", delta=text)
        self._item.emit("custom_tool_call_input.done", input=text)
        self._item.finish(input=text, status=status)


def _add_item(items: OutputItems, item_type: str, call_id: str, tool: ClientTool, **fields: str) -> ItemBuilder:
    namespace: Json = {} if tool.namespace is None else {"namespace": tool.namespace}
    return items.add_item(item_type, call_id=call_id, name=tool.name, **namespace, **fields, status="in_progress")
