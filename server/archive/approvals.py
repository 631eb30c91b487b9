"""Approval requests for MCP tool calls, and which of them have been answered."""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from retrieval.store.dialect import Transactions
from server.archive.api import ApprovalRequestRecord
from server.archive.schema import approval_requests, decisions


class ApprovalTable:
    """Implements api.Approvals."""

    _transactions: Transactions

    def put_approval_request(self, owner: str, new: ApprovalRequestRecord) -> None:
        values = {"request": new.approval_id, "label": new.server_label, "name": new.tool_name, "arguments": new.arguments_digest}
        with self._transactions.writing() as tx:
            tx.execute(insert(approval_requests).values(owner=owner, **values))

    def approval_requests(self, owner: str, approval_ids: Sequence[str]) -> dict[str, ApprovalRequestRecord]:
        table = approval_requests.c
        query = select(table.request, table.label, table.name, table.arguments)
        with self._transactions.reading() as tx:
            rows = tx.execute(query.where(table.owner == owner, table.request.in_(approval_ids))).all()
        return {
            row.request: ApprovalRequestRecord(
                approval_id=row.request, server_label=row.label, tool_name=row.name, arguments_digest=row.arguments
            )
            for row in rows
        }

    def record_decisions(self, owner: str, approval_ids: Sequence[str]) -> set[str]:
        """The primary key makes sure that only one of several concurrent calls succeeds."""
        if not approval_ids:
            return set()
        try:
            with self._transactions.writing() as tx:
                tx.execute(insert(decisions), [{"owner": owner, "request": approval_id} for approval_id in set(approval_ids)])
        except IntegrityError:
            answered = select(decisions.c.request).where(decisions.c.owner == owner, decisions.c.request.in_(approval_ids))
            with self._transactions.reading() as tx:
                return set(tx.execute(answered).scalars())
        return set()
