"""The endpoints of /v1/batches: a file of requests that are answered in idle time."""

from collections.abc import Sequence
from functools import partial

from server.api.batches import types as wire
from server.api.batches.validation import BatchLimits
from server.api.batches.worker import BatchWorker, batch_limits
from server.archive.batches.records import BatchRecord, NewBatch
from server.core.errors import bad_request
from server.core.threads import blaming_field, in_thread
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, query_endpoint
from server.http.lists import ListQuery, NoQuery, to_list_object, to_page_request
from server.runtime.state import ServerState

ALL = "/v1/batches"
ONE = f"{ALL}/{{batch_id}}"
HOUR = 3600


def endpoints(state: ServerState, answering: Sequence[Endpoint]) -> list[Endpoint]:
    """`answering`: the endpoints that answer lines, serving in idle time."""
    worker, shape = BatchWorker(state, answering), wire.Batch
    state.add_worker(worker.run)
    return [
        body_endpoint(
            state, partial(create, worker, batch_limits(state.settings)), ALL, "Answer a file of requests", wire.CreateBatch, shape
        ),
        query_endpoint(state, "GET", list_batches, ALL, "The batches", ListQuery, wire.BatchList),
        query_endpoint(state, "GET", retrieve, ONE, "How a batch is doing", NoQuery, shape),
        query_endpoint(state, "POST", partial(cancel, worker), f"{ONE}/cancel", "Stop a batch; what is answered stays", NoQuery, shape),
    ]


async def create(worker: BatchWorker, limits: BatchLimits, context: RequestContext, body: wire.CreateBatch) -> wire.Batch:
    archive = context.archive
    await _expect_input(context, body.input_file_id, limits)
    new = NewBatch(
        owner=context.owner,
        endpoint=body.endpoint,
        input_file_id=body.input_file_id,
        completion_window=body.completion_window,
        lifetime=(wire.window_hours(body.completion_window) or 0) * HOUR,
        metadata=body.metadata or {},
        output_expires_after=body.output_expires_after.seconds if body.output_expires_after else None,
    )
    made = await in_thread(archive.create_batch, new)
    worker.nudge()
    return to_wire(made)


async def list_batches(context: RequestContext, query: ListQuery) -> wire.BatchList:
    page = await in_thread(context.archive.batches, context.owner, to_page_request(query))
    return to_list_object(wire.BatchList, [to_wire(batch) for batch in page.items], page.more)


async def retrieve(context: RequestContext, query: NoQuery) -> wire.Batch:
    return to_wire(await in_thread(context.archive.batch, context.owner, context.batch_job_id))


async def cancel(worker: BatchWorker, context: RequestContext, query: NoQuery) -> wire.Batch:
    batch = await in_thread(context.archive.cancel_batch, context.owner, context.batch_job_id)
    worker.nudge(batch.id)
    return to_wire(batch)


def to_wire(batch: BatchRecord) -> wire.Batch:
    usage = batch.usage
    made = wire.Batch(
        id=batch.id,
        endpoint=batch.endpoint,
        model=batch.model,
        errors=wire.BatchErrors(data=[wire.BatchError.model_validate(error) for error in batch.errors]) if batch.errors else None,
        input_file_id=batch.input_file_id,
        completion_window=batch.completion_window,
        status=batch.status,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        request_counts=wire.RequestCounts(total=batch.total, completed=batch.completed, failed=batch.failed),
        usage=wire.BatchUsage(
            input_tokens=usage.input,
            input_tokens_details=wire.InputTokensDetails(cached_tokens=usage.cached),
            output_tokens=usage.output,
            output_tokens_details=wire.OutputTokensDetails(reasoning_tokens=usage.reasoning),
            total_tokens=usage.input + usage.output,
        ),
        metadata=batch.metadata,
    )
    return made.model_copy(update={f"{status}_at": when for status, when in batch.times.items()})


async def _expect_input(context: RequestContext, file_id: str, limits: BatchLimits) -> None:
    """Raises ApiError."""
    with blaming_field("input_file_id"):
        file = await in_thread(context.database.file, context.owner, file_id)
    if file.purpose != "batch":
        told = f"input_file_id: {file_id} was uploaded for the purpose {file.purpose!r}; it must be 'batch'"
        raise bad_request("input_file_id", told, "invalid_purpose")
    if file.bytes > limits.bytes:
        told = f"input_file_id: {file_id} has {file.bytes} bytes, more than the {limits.bytes} that a batch may have here"
        raise bad_request("input_file_id", told, "file_too_large")
