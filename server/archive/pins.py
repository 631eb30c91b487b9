"""The tools of MCP servers as they were when they were trusted, for all servers that share the database."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from retrieval.store.dialect import Transactions
from server.archive.schema import tool_pins


class PinTable:
    """Implements api.Pins."""

    _transactions: Transactions

    def pinned_tools(self, label: str) -> Mapping[str, str] | None:
        with self._transactions.reading() as tx:
            return tx.execute(select(tool_pins.c.digests).where(tool_pins.c.label == label)).scalar_one_or_none()

    def pin_tools(self, label: str, digests: Mapping[str, str]) -> None:
        with self._transactions.writing() as tx:
            if tx.execute(update(tool_pins).where(tool_pins.c.label == label).values(digests=dict(digests))).rowcount == 0:
                _insert(tx, label, digests)

    def pin_tools_first(self, label: str, digests: Mapping[str, str]) -> Mapping[str, str]:
        try:
            with self._transactions.writing() as tx:
                _insert(tx, label, digests)
        except IntegrityError:  # another process was faster
            pass
        found = self.pinned_tools(label)
        assert found is not None  # pins are changed, and never removed
        return found


def _insert(tx: Connection, label: str, digests: Mapping[str, str]) -> None:
    tx.execute(insert(tool_pins).values(label=label, digests=dict(digests)))
