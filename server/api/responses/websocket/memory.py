"""What a connection remembers: the latest response, from which the next one goes on even if nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.api.responses.run import ResponseRun
from server.core.messages import Json


@dataclass(slots=True)
class ConnectionMemory:
    """Of one response, as the API says: its chain is as long as a context at most."""

    _items: dict[str, Sequence[Json]] = field(default_factory=dict[str, Sequence[Json]])  # by response id: all items of its chain

    def items(self, response_id: str) -> Sequence[Json] | None:
        return self._items.get(response_id)

    def remember(self, run: ResponseRun, output: Sequence[Json]) -> None:
        resolved = run.builder.input
        self._items = {run.builder.id: [*resolved.earlier_items, *resolved.new_items, *output]}

    def forget(self, response_id: str | None) -> None:
        """After a failure: what the client goes on from may not be what it believes."""
        self._items.pop(response_id or "", None)
