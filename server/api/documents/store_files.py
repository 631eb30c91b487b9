"""Handlers of the files of a vector store: adding them singly or in batches, their state, text and chunks."""

from collections.abc import Sequence

from retrieval.api import Chunk, Chunking
from retrieval.records import IN_PROGRESS_STATES, Batch, Counts, Member, NewMember, State
from server.api.common.search.citations import source_url
from server.api.documents import store_file_types as wire
from server.core.errors import bad_request
from server.core.threads import blaming_field, in_thread
from server.http.context import RequestContext
from server.http.lists import NoQuery, to_list_object, to_page_request

STATES: dict[wire.Status, Sequence[State]] = {
    "in_progress": IN_PROGRESS_STATES,
    "completed": ("ready",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
}
STATUS: dict[State, wire.Status] = {state: status for status, states in STATES.items() for state in states}


async def add_store_file(context: RequestContext, body: wire.CreateStoreFile) -> wire.StoreFile:
    with blaming_field("file_id"):
        members, _ = await in_thread(context.store.add_members, context.owner, context.store_id, [_to_new_member(body)])
    context.knowledge_base.ingestor.wake()
    return to_store_file(members[0])


async def list_store_files(context: RequestContext, query: wire.StoreFilesQuery) -> wire.StoreFileList:
    return await _list_files(context, query, None)


async def get_store_file(context: RequestContext, query: NoQuery) -> wire.StoreFile:
    return to_store_file(await in_thread(context.store.member, context.owner, context.store_id, context.file_id))


async def update_store_file(context: RequestContext, body: wire.UpdateStoreFile) -> wire.StoreFile:
    change = context.store.change_member
    return to_store_file(await in_thread(change, context.owner, context.store_id, context.file_id, body.attributes or {}))


async def remove_store_file(context: RequestContext, query: NoQuery) -> wire.StoreFileDeleted:
    await in_thread(context.store.remove_member, context.owner, context.store_id, context.file_id)
    return wire.StoreFileDeleted(id=context.file_id)


async def get_content(context: RequestContext, query: NoQuery) -> wire.StoreFileContent:
    text = await in_thread(context.store.text_of, context.owner, context.store_id, context.file_id)
    return wire.StoreFileContent(data=[wire.PageContent(text=text)])


async def get_passage(context: RequestContext, query: wire.TextQuery) -> wire.StoreFileText:
    full_text = await in_thread(context.store.text_of, context.owner, context.store_id, context.file_id)
    member = await in_thread(context.store.member, context.owner, context.store_id, context.file_id)
    start, end = query.start, len(full_text) if query.end is None else query.end
    if not start <= end <= len(full_text):
        raise bad_request("end", f"start, end: {start}:{end} is no passage of a text of {len(full_text)} characters", "out_of_range")
    return wire.StoreFileText(
        file_id=member.file_id,
        vector_store_id=member.store_id,
        filename=member.filename,
        start=start,
        end=end,
        characters=len(full_text),
        text=full_text[start:end],
    )


async def get_chunk(context: RequestContext, query: NoQuery) -> wire.ChunkObject:
    chunk = await in_thread(context.store.chunk, context.owner, context.store_id, context.chunk_id)
    file_chunks = await in_thread(context.store.chunks_of, context.owner, context.store_id, chunk.file_id)
    by_ordinal = {other.ordinal: other for other in file_chunks}
    return wire.ChunkObject(
        id=chunk.id,
        vector_store_id=chunk.store_id,
        file_id=chunk.file_id,
        filename=chunk.filename,
        ordinal=chunk.ordinal,
        page=chunk.page,
        headings=list(chunk.headings),
        start=chunk.start,
        end=chunk.end,
        start_seconds=chunk.start_seconds,
        end_seconds=chunk.end_seconds,
        picture=chunk.picture,
        url=source_url(chunk),
        text=chunk.text,
        before=_neighbour(by_ordinal.get(chunk.ordinal - 1)),
        after=_neighbour(by_ordinal.get(chunk.ordinal + 1)),
    )


async def create_batch(context: RequestContext, body: wire.CreateFileBatch) -> wire.FileBatch:
    with blaming_field("files" if body.files else "file_ids"):
        members, batch = await in_thread(context.store.add_members, context.owner, context.store_id, _to_new_members(body), batch=True)
    context.knowledge_base.ingestor.wake()
    assert batch is not None and members  # because of batch=True
    return _to_file_batch(batch)


async def get_batch(context: RequestContext, query: NoQuery) -> wire.FileBatch:
    return _to_file_batch(await in_thread(context.store.batch, context.owner, context.store_id, context.batch_id))


async def cancel_batch(context: RequestContext, query: NoQuery) -> wire.FileBatch:
    return _to_file_batch(await in_thread(context.store.cancel_batch, context.owner, context.store_id, context.batch_id))


async def list_batch_files(context: RequestContext, query: wire.StoreFilesQuery) -> wire.StoreFileList:
    await in_thread(context.store.batch, context.owner, context.store_id, context.batch_id)
    return await _list_files(context, query, context.batch_id)


def to_chunking(strategy: wire.ChunkingStrategy | None) -> Chunking:
    if not isinstance(strategy, wire.StaticStrategy):
        return Chunking()
    return Chunking(size=strategy.static.max_chunk_size_tokens, overlap=strategy.static.chunk_overlap_tokens)


def to_file_counts(counts: Counts) -> wire.FileCounts:
    return wire.FileCounts(
        in_progress=counts.in_progress,
        completed=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
        total=counts.total,
    )


def to_store_file(member: Member) -> wire.StoreFile:
    return wire.StoreFile(
        id=member.file_id,
        created_at=member.created_at,
        vector_store_id=member.store_id,
        usage_bytes=member.usage_bytes,
        status=STATUS[member.state],
        last_error=_to_last_error(member),
        attributes=member.attributes,
        chunking_strategy=_to_strategy(member.chunking),
        filename=member.filename,
        state=member.state,
        progress=member.progress,
        notes=list(member.notes),
    )


async def _list_files(context: RequestContext, query: wire.StoreFilesQuery, batch_id: str | None) -> wire.StoreFileList:
    states = STATES[query.filter] if query.filter else ()
    page = await in_thread(context.store.members, context.owner, context.store_id, to_page_request(query), states=states, batch_id=batch_id)
    return to_list_object(wire.StoreFileList, [to_store_file(member) for member in page.items], page.more)


def _to_new_members(body: wire.CreateFileBatch) -> list[NewMember]:
    if (body.file_ids is None) == (body.files is None):
        raise bad_request("file_ids", "file_ids, files: exactly one of them is needed", "invalid_value")
    if body.files is not None:
        for field in ("attributes", "chunking_strategy"):
            if getattr(body, field) is not None:
                raise bad_request(field, f"{field}: goes with file_ids; in files each has its own", "invalid_value")
        return [_to_new_member(file) for file in _expect_distinct(body.files)]
    attributes, chunking = body.attributes or {}, to_chunking(body.chunking_strategy)
    return [NewMember(file_id=id, attributes=attributes, chunking=chunking) for id in dict.fromkeys(body.file_ids or ())]


def _expect_distinct(files: Sequence[wire.CreateStoreFile]) -> Sequence[wire.CreateStoreFile]:
    seen = set[str]()
    for i, file in enumerate(files):
        if file.file_id in seen:
            raise bad_request(f"files.{i}.file_id", f"files.{i}.file_id: {file.file_id} is there twice", "duplicate")
        seen.add(file.file_id)
    return files


def _to_new_member(file: wire.CreateStoreFile) -> NewMember:
    return NewMember(file_id=file.file_id, attributes=file.attributes or {}, chunking=to_chunking(file.chunking_strategy))


def _to_last_error(member: Member) -> wire.LastError | None:
    if member.state != "failed":
        return None
    code = member.error_code
    return wire.LastError(code=code if code in ("unsupported_file", "invalid_file") else "server_error", message=member.error or "")


def _to_strategy(chunking: Chunking) -> wire.StaticStrategy | wire.OtherStrategy:
    """The requested sizes; "other" where the embedding model decides."""
    if chunking.size is None or chunking.overlap is None:
        return wire.OtherStrategy()
    static = wire.StaticChunking(max_chunk_size_tokens=chunking.size, chunk_overlap_tokens=chunking.overlap)
    return wire.StaticStrategy(type="static", static=static)


def _to_file_batch(batch: Batch) -> wire.FileBatch:
    return wire.FileBatch(
        id=batch.id,
        created_at=batch.created_at,
        vector_store_id=batch.store_id,
        status="cancelled" if batch.cancelled else "in_progress" if batch.counts.in_progress else "completed",
        file_counts=to_file_counts(batch.counts),
    )


def _neighbour(chunk: Chunk | None) -> wire.Neighbour | None:
    return None if chunk is None else wire.Neighbour(id=chunk.id, text=chunk.text)
