"""What a connection remembers: the latest response, from which the next one goes on even if nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.api.responses.resolved_input import RememberedChain
from server.api.responses.run import ResponseRun
from server.core.messages import Json


@dataclass(slots=True)
class ConnectionMemory:
    """Of one response, as the API says: its chain is as long as a context at most."""

    _chains: dict[str, RememberedChain] = field(default_factory=dict[str, RememberedChain])  # by id of the last response

    def chain(self, response_id: str) -> RememberedChain | None:
        return self._chains.get(response_id)

    def remember(self, run: ResponseRun, output: Sequence[Json]) -> None:
        resolved = run.builder.input
        items = [*resolved.earlier_items, *resolved.new_items, *output]
        self._chains = {run.builder.id: RememberedChain(items, stored=run.builder.stored)}

    def forget(self, response_id: str | None) -> None:
        """After a failure: what the client goes on from may not be what it believes."""
        self._chains.pop(response_id or "", None)
