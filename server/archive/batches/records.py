"""Batches of requests: their records and the archive's interface to them. Times are Unix seconds.

A batch is worked on by who holds its lease. What a worker writes counts only while it holds the lease: else LeaseLost is raised and
nothing is changed, so that no request is answered twice."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from retrieval.records import Page, PageRequest
from retrieval.store.api import AlsoWrite

BatchStatus = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
BatchEnd = Literal["completed", "expired", "cancelled"]
OutputKind = Literal["output", "error"]
UNFINISHED: tuple[BatchStatus, ...] = ("validating", "in_progress", "finalizing", "cancelling")
MAX_ATTEMPTS = 3  # at a line whose processes die; then it probably is what kills them


class LeaseLost(Exception):
    """Another works on the batch now, or it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    input: int = 0
    cached: int = 0  # of the input
    output: int = 0
    reasoning: int = 0  # of the output


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    owner: str
    endpoint: str
    input_file_id: str
    completion_window: str
    lifetime: int  # seconds: the same
    metadata: dict[str, str]
    output_expires_after: int | None  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    id: str
    owner: str
    endpoint: str
    input_file_id: str
    completion_window: str
    metadata: dict[str, str]
    output_expires_after: int | None
    created_at: int
    expires_at: int
    status: BatchStatus
    times: dict[str, int]  # when it got which status
    errors: list[dict[str, Any]]  # that validation has found
    model: str | None  # that all its lines name
    total: int
    completed: int
    failed: int
    usage: TokenUsage
    output_file_id: str | None
    error_file_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLine:
    number: int  # of the input file's line, from 1
    custom_id: str
    body: str  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    number: int
    custom_id: str
    body: str
    attempts: int  # that ended with their process


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    number: int
    succeeded: bool
    output: str  # a line of the output or error file
    usage: TokenUsage = field(default_factory=TokenUsage)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOutcome:
    """`output` None: the line was not answered."""

    number: int
    custom_id: str
    succeeded: bool
    output: str | None


class Batches(Protocol):
    def create_batch(self, new: NewBatch) -> BatchRecord: ...
    def batch(self, owner: str, batch_id: str) -> BatchRecord: ...
    def batches(self, owner: str, listing: PageRequest) -> Page[BatchRecord]: ...

    def cancel_batch(self, owner: str, batch_id: str) -> BatchRecord:
        """Its worker does the rest. Raises Conflict for one that has ended, or is about to."""
        ...

    def batch_backlog(self) -> dict[BatchStatus, int]:
        """Number of batches, over all owners, in each of UNFINISHED."""
        ...

    # for workers

    def claim_batch(self, worker: str, seconds: float, busy_owners: Collection[str] = ()) -> BatchRecord | None:
        """Leases an unfinished batch for `seconds`: the oldest of those that need no model, else the oldest in progress of an owner
        who is not in `busy_owners`."""
        ...

    def renew_batch(self, batch_id: str, worker: str, seconds: float) -> BatchStatus:
        """Its status. Raises LeaseLost."""
        ...

    def release_batch(self, batch_id: str, worker: str, unanswered: Sequence[int] = ()) -> None:
        """Gives the lease back. `unanswered`: numbers of lines that were taken, and whose attempt does not count."""
        ...

    def clear_lines(self, batch_id: str, worker: str) -> None: ...
    def add_lines(self, batch_id: str, worker: str, lines: Sequence[NewLine]) -> None: ...
    def accept_batch(self, batch_id: str, worker: str, model: str | None) -> BatchRecord:
        """All lines are there: it is in progress from now on. Raises LeaseLost also where it has been cancelled."""
        ...

    def refuse_batch(self, batch_id: str, worker: str, errors: Sequence[dict[str, Any]]) -> None:
        """It has failed, as `errors` say (wire objects). Raises LeaseLost also where it has been cancelled."""
        ...

    def take_lines(self, batch_id: str, worker: str, after: int, limit: int, *, tried: bool) -> list[BatchLine]:
        """Unanswered lines with numbers above `after`, in order: those whose processes have died (`tried`), or those that nobody has
        taken yet. Counts an attempt for each."""
        ...

    def finish_line(self, batch_id: str, worker: str, result: LineResult) -> None:
        """Once for each line: an answer that comes twice is dropped."""
        ...

    def finalize_batch(self, batch_id: str, worker: str) -> None:
        """From now on it cannot be cancelled. Raises LeaseLost also where it has been."""
        ...

    def outcomes(self, batch_id: str, after: int, limit: int) -> list[LineOutcome]:
        """Lines with numbers above `after`, in order."""
        ...

    def writing_output(self, batch_id: str, worker: str, kind: OutputKind) -> AlsoWrite:
        """What notes the output or error file in the transaction that makes it visible."""
        ...

    def end_batch(self, batch_id: str, worker: str, status: BatchEnd) -> None:
        """Removes its lines; those without an answer count as failed."""
        ...
