"""The files that a batch ends with: what was answered, and what was not."""

from collections.abc import Callable, Iterator

from retrieval.records import NewFile
from retrieval.store.api import Store
from server.api.batches.line import failed_line
from server.api.documents.files import default_lifetime
from server.archive.api import Archive
from server.archive.batches.records import BatchEnd, BatchRecord, LeaseLost, LineOutcome, OutputKind

READ_LINES = 50  # at once; one may have megabytes
PURPOSE = "batch_output"
UNANSWERED: dict[BatchEnd, tuple[str, str]] = {
    "expired": ("batch_expired", "the completion window was over before this request was answered"),
    "cancelled": ("batch_cancelled", "the batch was cancelled before this request was answered"),
    "completed": ("server_error", "this request was not answered"),
}


def end_batch(store: Store, archive: Archive, batch: BatchRecord, worker: str, end: BatchEnd, go_on: Callable[[], bool]) -> None:
    """Writes those files that are not there yet. Blocking. Raises LeaseLost, also where it is not to go on, and DatabaseFault: then it can
    be done again."""
    batch = archive.batch(batch.owner, batch.id)
    if batch.completed and batch.output_file_id is None:
        answered = (outcome for outcome in _outcomes(archive, batch.id, go_on) if outcome.succeeded)
        store.put_file(_new_file(batch, "output"), _texts(answered, end), archive.writing_output(batch.id, worker, "output"))
    if batch.total > batch.completed and batch.error_file_id is None:
        failed = (outcome for outcome in _outcomes(archive, batch.id, go_on) if not outcome.succeeded)
        store.put_file(_new_file(batch, "error"), _texts(failed, end), archive.writing_output(batch.id, worker, "error"))
    archive.end_batch(batch.id, worker, end)


def resumed_end(batch: BatchRecord) -> BatchEnd:
    """How a batch ends that was being finalized when its process died."""
    return "completed" if batch.completed + batch.failed >= batch.total else "expired"


def _new_file(batch: BatchRecord, kind: OutputKind) -> NewFile:
    seconds = default_lifetime(PURPOSE) if batch.output_expires_after is None else batch.output_expires_after
    return NewFile(owner=batch.owner, filename=f"{batch.id}_{kind}.jsonl", purpose=PURPOSE, expires_after=seconds)


def _texts(outcomes: Iterator[LineOutcome], end: BatchEnd) -> Iterator[bytes]:
    for outcome in outcomes:
        yield f"{outcome.output or failed_line(outcome.custom_id, *UNANSWERED[end])}\n".encode()


def _outcomes(archive: Archive, batch_id: str, go_on: Callable[[], bool]) -> Iterator[LineOutcome]:
    after = 0
    while found := archive.outcomes(batch_id, after, READ_LINES):
        if not go_on():
            raise LeaseLost(batch_id)
        yield from found
        after = found[-1].number
