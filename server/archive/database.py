"""DatabaseArchive: the archive in the database of the knowledge base."""

import time
from collections.abc import Callable

from retrieval.store.dialect import Transactions
from server.archive.approvals import ApprovalTable
from server.archive.batches.jobs import BatchTable
from server.archive.batches.lines import BatchLineTable
from server.archive.completions import CompletionTable
from server.archive.conversations import ConversationTable
from server.archive.keys import KeyTable
from server.archive.pins import PinTable
from server.archive.responses import ResponseTable
from server.archive.schema import prepare_schema
from server.archive.uploads.parts import UploadTable
from server.archive.workers import WorkerTable


class DatabaseArchive(
    ResponseTable,
    ApprovalTable,
    ConversationTable,
    CompletionTable,
    BatchTable,
    BatchLineTable,
    UploadTable,
    KeyTable,
    WorkerTable,
    PinTable,
):
    """Implements api.Archive. It does not close the database."""

    def __init__(self, transactions: Transactions, clock: Callable[[], float] = time.time) -> None:
        prepare_schema(transactions)
        self._transactions, self._clock = transactions, clock


def open_archive(transactions: Transactions, clock: Callable[[], float] = time.time) -> DatabaseArchive:
    """`transactions`: the store's own (Store.transactions), so that one process has one writer. Raises KnowledgeError."""
    return DatabaseArchive(transactions, clock)
