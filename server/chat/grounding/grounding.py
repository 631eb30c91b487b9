"""Grounding an answer in documents: the question, the search, the passages for the prompt, the citations.

Documents are data and nothing else. They stand in the user's message, cannot choose tools, stores or instructions, and their control
tokens are text like everything else in a message (server/text/control_tokens.py).
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from engine.api import Delta, Request, Usage
from retrieval.api import Hit, NotFound, Search, SearchResult
from retrieval.citations.cite import CitationFinder, Evidence
from retrieval.citations.identifiers import unknown_codes
from retrieval.records import VectorStore
from retrieval.store.api import Store
from server.chat.grounding.citation_marks import CitationMarkFilter
from server.chat.grounding.follow_up import is_follow_up
from server.chat.grounding.overview import overview_hits
from server.chat.grounding.prompt import delimiter_name, passages_prompt, passages_that_fit
from server.chat.grounding.query_rewrite import ConversationTurn, conversation_of, previous_question
from server.chat.grounding.small_talk import is_small_talk
from server.core.errors import ApiError, bad_request
from server.core.messages import Message, ToolResult, User, moved
from server.core.request import FileSearch, GenerationRequest
from server.core.threads import in_thread, with_api_errors
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.runtime import Runtime, expect_knowledge_base
from server.text.tokenizer import ChatTokenizer

NO_ANSWER = "The documents do not contain an answer to this question."
JOIN_TOKENS = 16  # may be needed where texts are joined
DEFAULT_ANSWER_TOKENS = 256  # reserved for an answer without a limit


@dataclass(frozen=True)
class PendingSearch:
    """A checked search. `conversation` ends with the question."""

    conversation: Sequence[ConversationTurn]
    search: Search  # without queries, which may still be rewritten
    knowledge_base: KnowledgeBase
    owner: str
    client_threshold: bool  # the client decides from which score on a hit counts
    is_small_talk: bool  # if nothing is found, the model answers without documents

    @property
    def question(self) -> str:
        return self.conversation[-1].text


@dataclass(frozen=True)
class GroundedQuestion:
    """A question with the passages found for it. The mark [n] in the answer cites hits[n - 1]."""

    question: str
    hits: tuple[Hit, ...]
    knowledge_base: KnowledgeBase

    @property
    def delimiters(self) -> tuple[str, ...]:
        """The delimiters around each passage in the prompt."""
        delimiter = delimiter_name(self.question, [hit.chunk for hit in self.hits])
        return (f"<{delimiter}>", f"</{delimiter}>")

    @property
    def new_mark_filter(self) -> CitationMarkFilter:
        """For one answer."""
        return CitationMarkFilter([hit.chunk.text for hit in self.hits])

    @property
    def new_citation_finder(self) -> CitationFinder:
        """For one answer."""
        return CitationFinder(Evidence(self.question, [hit.chunk for hit in self.hits], self.knowledge_base.embedder))


def default_search(runtime: Runtime) -> FileSearch | None:
    """The search in the server's default store, if there is one, for requests without a search of their own. Settings of the client's
    tools do not apply to it, and conversations without a question are not refused."""
    return FileSearch(stores=()) if runtime.knowledge_base and runtime.knowledge_base.default_store else None


async def plan_search(runtime: Runtime, request: GenerationRequest, owner: str) -> PendingSearch | None:
    """None: nothing to search. Raises ApiError."""
    if (file_search := request.file_search) is None:
        return None
    knowledge_base, turns = expect_knowledge_base(runtime), conversation_of(request.messages)
    has_question = isinstance(request.messages[-1], User | ToolResult) if request.messages else False
    if not has_question or not turns or not turns[-1].text.strip():
        if not file_search.requested:
            return None
        field = request.field_names.messages
        raise bad_request(field, f"{field}: the last one must be a question of the user's, to be looked up in the documents")
    search = Search(
        queries=(),
        stores=await _readable_stores(knowledge_base, owner, file_search, request.field_names.file_search),
        limit=file_search.limit or knowledge_base.grounding.passages,
        filter=file_search.filter,
        threshold=file_search.threshold or 0.0,
        weights=file_search.weights,
        rerank=file_search.rerank,
    )
    small_talk = is_small_talk(turns[-1].text)
    return PendingSearch(turns, search, knowledge_base, owner, file_search.threshold is not None, small_talk)


async def search_passages(pending: PendingSearch, queries: tuple[str, ...], field: str) -> GroundedQuestion:
    """`field`: the request field with the question. For a question that is no follow-up only its own hits count; a request for an overview
    gets the beginnings of the documents; where no passage holds the code that is asked about, there are none. Raises ApiError."""
    search, before = replace(pending.search, queries=queries), previous_question(pending.conversation)
    if beginnings := await _overview(pending, first=before is None, field=field):
        return GroundedQuestion(pending.question, beginnings, pending.knowledge_base)
    result = await _result(pending, search, field)
    if result.hits and before and len(queries) > 1:
        pair, best, vectors = (before, queries[0]), result.hits[0], result.query_vectors
        if not await with_api_errors(is_follow_up(pending.knowledge_base, pair, best, vectors), field):
            result = await _result(pending, replace(search, queries=queries[:1], known_vectors=vectors), field)
    hits = () if _is_about_unknown_code(pending.question, result.hits) else result.hits
    return GroundedQuestion(pending.question, hits, pending.knowledge_base)


def _is_about_unknown_code(question: str, hits: Sequence[Hit]) -> bool:
    held = ["\n".join((hit.chunk.filename, *hit.chunk.headings, hit.chunk.text)) for hit in hits]
    return bool(unknown_codes(question, held))


async def _overview(pending: PendingSearch, *, first: bool, field: str) -> tuple[Hit, ...]:
    store = pending.knowledge_base.store
    return await with_api_errors(in_thread(overview_hits, store, pending.owner, pending.search, pending.question, first=first), field)


async def _result(pending: PendingSearch, search: Search, field: str) -> SearchResult:
    knowledge_base = pending.knowledge_base
    result = await with_api_errors(knowledge_base.retriever.search(search), field)
    reranked = search.rerank and knowledge_base.reranker is not None
    return result if pending.client_threshold else replace(result, hits=_relevant(knowledge_base, result.hits, reranked=reranked))


def fit_passages(
    grounding: GroundedQuestion, tokenizer: ChatTokenizer, context: int, conversation_tokens: int, limit: int | None, field: str
) -> GroundedQuestion:
    """With as many hits as fit the context beside the conversation and an answer of `limit` tokens. Raises ApiError if none fits."""
    instructions = len(tokenizer.encode(passages_prompt("", ()))) + JOIN_TOKENS
    left = context - conversation_tokens - instructions - min(limit or DEFAULT_ANSWER_TOKENS, context // 4)
    hits = passages_that_fit(tokenizer, grounding.hits, min(left, grounding.knowledge_base.grounding.tokens))
    if grounding.hits and not hits:
        message = f"the conversation has {conversation_tokens} tokens, which leaves no room for a passage in a context of {context} tokens"
        raise bad_request(field, message, "context_length_exceeded")
    return replace(grounding, hits=tuple(hits))


def with_passages(messages: Sequence[Message], grounding: GroundedQuestion) -> list[Message]:
    """The messages with the passages before the question in the user's last message."""
    last = max(i for i, message in enumerate(messages) if isinstance(message, User))
    question = messages[last]
    assert isinstance(question, User)
    text = passages_prompt(grounding.question, grounding.hits)
    images = moved(question.images, len(text) - len(question.text))
    return [*messages[:last], replace(question, text=text, images=images), *messages[last + 1 :]]


class CannedEngine:
    """Generates a fixed text in the place of an engine, within the request's limits."""

    def __init__(self, tokenizer: ChatTokenizer, text: str) -> None:
        self._tokens = tokenizer.encode(text)

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        tokens = self._tokens[: request.sampling.max_tokens]
        finish = "stop" if len(tokens) == len(self._tokens) else "length"
        yield Delta(tokens=tokens, finish=finish, usage=Usage(prompt=len(request.tokens), completion=len(tokens), cached=0))


async def _readable_stores(knowledge_base: KnowledgeBase, owner: str, file_search: FileSearch, field: str) -> tuple[str, ...]:
    """Ids of the stores to search. Raises ApiError for one that does not exist, is another owner's, or has expired."""
    store = knowledge_base.store
    if not file_search.stores:
        default = await in_thread(_default_store, store, owner, knowledge_base.default_store or "")
        expect_not_expired(default, time.time())
        return (default.id,)
    ids = tuple(dict.fromkeys(file_search.stores))
    for id in ids:
        try:
            expect_not_expired(await in_thread(store.store, owner, id), time.time())
        except ApiError as error:
            raise replace(error, param=f"{field}.vector_store_ids") from error
    return ids


def _default_store(store: Store, owner: str, name: str) -> VectorStore:
    """The default store, by name or id."""
    for find in (store.store_named, store.store):
        with suppress(NotFound):
            return find(owner, name)
    message = f"the server's default store {name!r} does not exist: fill it with stoa ingest PATH --store {name}"
    raise ApiError(404, message, code="vector_store_not_found")


def _relevant(knowledge_base: KnowledgeBase, hits: Sequence[Hit], *, reranked: bool) -> tuple[Hit, ...]:
    """The hits that may hold an answer: none below the floor, and none far below the best. Scores of a cross-encoder lie near 0 or 1, so
    for those only the floor counts."""
    limits, best = knowledge_base.grounding, hits[0].score if hits else 0.0
    floor = limits.reranked_floor if reranked else max(limits.floor, limits.relative_floor * best)
    return tuple(hit for hit in hits if hit.score >= floor)


def expect_not_expired(store: VectorStore, now: float) -> None:
    """Raises ApiError if the store has expired; an empty result would look as if nothing matched."""
    if store.expires_at is not None and store.expires_at <= now:
        raise bad_request("vector_store_id", f"the vector store {store.id!r} has expired", "vector_store_expired")
