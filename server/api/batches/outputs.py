"""The files that a batch ends with: what was answered, and what was not."""

from collections.abc import Iterator

from retrieval.records import NewFile
from retrieval.store.api import Store
from server.api.batches.line import failed_line
from server.api.documents.files import default_lifetime
from server.archive.api import Archive
from server.archive.batch_records import BatchEnd, BatchRecord, LineOutcome, OutputKind

READ_LINES = 50  # at once; one may have megabytes
PURPOSE = "batch_output"
UNANSWERED: dict[BatchEnd, tuple[str, str]] = {
    "expired": ("batch_expired", "the completion window was over before this request was answered"),
    "cancelled": ("batch_cancelled", "the batch was cancelled before this request was answered"),
    "completed": ("server_error", "this request was not answered"),
}


def end_batch(store: Store, archive: Archive, batch: BatchRecord, worker: str, end: BatchEnd) -> None:
    """Writes those files that are not there yet. Blocking. Raises LeaseLost; also DatabaseFault, after which it can be done again."""
    batch = archive.batch(batch.owner, batch.id)
    if batch.completed and batch.output_file_id is None:
        _put(store, archive, batch, worker, end, "output")
    if batch.total > batch.completed and batch.error_file_id is None:
        _put(store, archive, batch, worker, end, "error")
    archive.end_batch(batch.id, worker, end)


def resumed_end(batch: BatchRecord) -> BatchEnd:
    """How a batch ends that was being finalized when its process died."""
    return "completed" if batch.completed + batch.failed >= batch.total else "expired"


def _put(store: Store, archive: Archive, batch: BatchRecord, worker: str, end: BatchEnd, kind: OutputKind) -> None:
    seconds = default_lifetime(PURPOSE) if batch.output_expires_after is None else batch.output_expires_after
    new = NewFile(owner=batch.owner, filename=f"{batch.id}_{kind}.jsonl", purpose=PURPOSE, expires_after=seconds)
    lines = (_text(outcome, end) for outcome in _outcomes(archive, batch.id) if outcome.succeeded == (kind == "output"))
    store.put_file(new, (f"{line}\n".encode() for line in lines), archive.writing_output(batch.id, worker, kind))


def _text(outcome: LineOutcome, end: BatchEnd) -> str:
    return outcome.output or failed_line(outcome.custom_id, *UNANSWERED[end])


def _outcomes(archive: Archive, batch_id: str) -> Iterator[LineOutcome]:
    after = 0
    while found := archive.outcomes(batch_id, after, READ_LINES):
        yield from found
        after = found[-1].number
