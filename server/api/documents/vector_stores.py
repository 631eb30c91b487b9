"""Handlers of /v1/vector_stores: create, list, read, update, delete, search."""

import time
from contextlib import suppress
from typing import Literal

from retrieval.api import Hit, NotFound
from retrieval.records import NewMember, NewVectorStore, VectorStore, VectorStoreChanges
from retrieval.store.api import Store
from server.api.common.search.citations import source_url
from server.api.common.search.filters import clamped_score, to_search
from server.api.documents import vector_store_types as wire
from server.api.documents.store_files import to_chunking, to_file_counts
from server.chat.grounding import query_rewrite
from server.chat.grounding.grounding import expect_not_expired
from server.core.errors import bad_request
from server.core.threads import blaming_field, in_thread, with_api_errors
from server.http.context import RequestContext
from server.http.lists import ListQuery, NoQuery, to_list_object, to_page_request

DEFAULT_RESULTS = 10  # where the request has no max_num_results


async def create_store(context: RequestContext, body: wire.CreateVectorStore) -> wire.VectorStoreObject:
    if body.chunking_strategy is not None and not body.file_ids:
        raise bad_request(
            "chunking_strategy", "chunking_strategy: it is that of file_ids; without any, give it with the files that are added later"
        )
    new = NewVectorStore(
        owner=context.owner,
        name=body.name or "",
        description=body.description,
        metadata=body.metadata or {},
        expires_after_days=body.expires_after.days if body.expires_after else None,
    )
    members = [NewMember(file_id=id, chunking=to_chunking(body.chunking_strategy)) for id in dict.fromkeys(body.file_ids or ())]
    with blaming_field("file_ids"):
        store = await in_thread(_create, context.store, new, members)
    if members:
        context.knowledge_base.ingestor.wake()
    return to_store_object(store)


async def list_stores(context: RequestContext, query: ListQuery) -> wire.VectorStoreList:
    page = await in_thread(context.store.stores, context.owner, to_page_request(query))
    return to_list_object(wire.VectorStoreList, [to_store_object(store) for store in page.items], page.more)


async def get_store(context: RequestContext, query: NoQuery) -> wire.VectorStoreObject:
    return to_store_object(await in_thread(context.store.store, context.owner, context.store_id))


async def update_store(context: RequestContext, body: wire.UpdateVectorStore) -> wire.VectorStoreObject:
    set_fields = body.model_fields_set
    change = VectorStoreChanges(
        name=body.name or "",
        description=body.description,
        metadata=body.metadata or {},
        expires_after_days=body.expires_after.days if body.expires_after else None,
        fields=frozenset("expires_after_days" if field == "expires_after" else field for field in set_fields),
    )
    return to_store_object(await in_thread(context.store.change_store, context.owner, context.store_id, change))


async def delete_store(context: RequestContext, query: NoQuery) -> wire.VectorStoreDeleted:
    await in_thread(context.store.delete_store, context.owner, context.store_id)
    return wire.VectorStoreDeleted(id=context.store_id)


async def search_store(context: RequestContext, body: wire.SearchRequest) -> wire.SearchResults:
    queries = await _queries(context, body)
    limit = body.max_num_results or DEFAULT_RESULTS
    search = to_search(queries, (context.store_id,), limit=limit, filters=body.filters, options=body.ranking_options)
    expect_not_expired(await in_thread(context.store.store, context.owner, context.store_id), time.time())
    result = await with_api_errors(context.knowledge_base.retriever.search(search))
    return wire.SearchResults(search_query=list(queries), data=[_to_search_result(hit) for hit in result.hits])


async def _queries(context: RequestContext, body: wire.SearchRequest) -> tuple[str, ...]:
    """With rewrite_query each query is rewritten as a question that follows the ones before it, as in a chat. The response has the
    rewritten queries."""
    queries = (body.query,) if isinstance(body.query, str) else tuple(body.query)
    if not body.rewrite_query:
        return queries
    turns = [query_rewrite.ConversationTurn("user", query) for query in queries]
    rewritten = [await query_rewrite.search_queries(context.runtime, turns[:last]) for last in range(1, len(turns) + 1)]
    return tuple(dict.fromkeys(query for several in rewritten for query in several))


def to_store_object(store: VectorStore) -> wire.VectorStoreObject:
    days = store.expires_after_days
    return wire.VectorStoreObject(
        id=store.id,
        created_at=store.created_at,
        name=store.name,
        description=store.description,
        usage_bytes=store.usage_bytes,
        file_counts=to_file_counts(store.counts),
        status=_status(store),
        expires_after=None if days is None else wire.ExpiresAfter(anchor="last_active_at", days=days),
        expires_at=store.expires_at,
        last_active_at=store.last_active_at,
        metadata=store.metadata,
        embedding_model=store.identity.model if store.identity else None,
    )


def _create(store: Store, new: NewVectorStore, members: list[NewMember]) -> VectorStore:
    """With all of its files; where one cannot be added, the store is deleted again."""
    created = store.create_store(new)
    if not members:
        return created
    try:
        store.add_members(new.owner, created.id, members)
    except BaseException:
        with suppress(NotFound):
            store.delete_store(new.owner, created.id)
        raise
    return store.store(new.owner, created.id)


def _status(store: VectorStore) -> Literal["expired", "in_progress", "completed"]:
    if store.expires_at is not None and store.expires_at <= time.time():
        return "expired"
    return "in_progress" if store.counts.in_progress else "completed"


def _to_search_result(hit: Hit) -> wire.SearchResult:
    chunk = hit.chunk
    return wire.SearchResult(
        file_id=chunk.file_id,
        filename=chunk.filename,
        score=clamped_score(hit),
        attributes=hit.attributes,
        content=[wire.Content(text=chunk.text)],
        chunk_id=chunk.id,
        page=chunk.page,
        headings=list(chunk.headings),
        start=chunk.start,
        end=chunk.end,
        start_seconds=chunk.start_seconds,
        end_seconds=chunk.end_seconds,
        picture=chunk.picture,
        url=source_url(chunk),
    )
