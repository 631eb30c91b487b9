"""The archive over the database of the knowledge base."""

import time
from collections.abc import Callable

from retrieval.store.dialect import Transactions
from server.archive.completions import CompletionTable
from server.archive.conversations import ConversationTable
from server.archive.responses import ResponseTable
from server.archive.schema import prepare


class DatabaseArchive(ResponseTable, ConversationTable, CompletionTable):
    """Implements api.Archive. Whoever opened the database closes it."""

    def __init__(self, transactions: Transactions, clock: Callable[[], float] = time.time) -> None:
        prepare(transactions)
        self._transactions, self._clock = transactions, clock


def open_archive(transactions: Transactions, clock: Callable[[], float] = time.time) -> DatabaseArchive:
    """`transactions`: those of a store (Store.transactions), so that one process has one writer. Raises KnowledgeError."""
    return DatabaseArchive(transactions, clock)
