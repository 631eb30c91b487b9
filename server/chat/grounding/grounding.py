"""An answer out of documents: what is asked, where it is looked up, which passages the model gets to read, and what is cited.

Documents are grounds and nothing else. They stand in the user's message, as data; they choose no tool, no store and no other
instruction, and their control tokens are text like everything else in a message (server/text/control_tokens.py).
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from engine.api import Delta, Request, Usage
from retrieval.api import Hit, NotFound, Search, SearchResult
from retrieval.citations.cite import Citing, Evidence
from retrieval.records import VectorStore
from retrieval.store.api import Store
from server.chat.grounding.citation_marks import CitationMarkFilter
from server.chat.grounding.follow_up import is_follow_up
from server.chat.grounding.prompt import fence_name, passages_prompt, passages_that_fit
from server.chat.grounding.query_rewrite import ConversationTurn, conversation_of, previous_question
from server.chat.grounding.small_talk import is_small_talk
from server.core.errors import ApiError, bad_request
from server.core.messages import Message, ToolResult, User
from server.core.request import FileSearch, GenerationRequest
from server.core.threads import in_thread, with_api_errors
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.runtime import Runtime, expect_knowledge_base
from server.text.tokenizer import ChatTokenizer

NO_ANSWER = "The documents do not contain an answer to this question."
JOIN_TOKENS = 16  # tokens that may be needed where text is put together
DEFAULT_ANSWER_TOKENS = 256  # tokens that are kept free for an answer whose length nobody limits


@dataclass(frozen=True)
class PendingSearch:
    """A search that can be made. `talk` ends with the question."""

    conversation: Sequence[ConversationTurn]
    search: Search  # its queries are not known yet
    knowledge_base: KnowledgeBase
    client_threshold: bool  # the client has said from which score on a hit counts
    is_small_talk: bool  # where nothing is found, the model answers out of itself

    @property
    def question(self) -> str:
        return self.conversation[-1].text


@dataclass(frozen=True)
class GroundedQuestion:
    """What an answer rests on: hits[n - 1] is what the mark [n] stands for. Without hits nothing is known."""

    question: str
    hits: tuple[Hit, ...]
    knowledge_base: KnowledgeBase

    @property
    def fences(self) -> tuple[str, ...]:
        mark = fence_name(self.question, [hit.chunk for hit in self.hits])
        return (f"<{mark}>", f"</{mark}>")

    @property
    def new_mark_filter(self) -> CitationMarkFilter:
        """For one answer."""
        return CitationMarkFilter([hit.chunk.text for hit in self.hits])

    @property
    def new_citation_finder(self) -> Citing:
        """For one answer."""
        return Citing(Evidence(self.question, [hit.chunk for hit in self.hits], self.knowledge_base.embedder))


def default_search(runtime: Runtime) -> FileSearch | None:
    """The search in the server's default store, where there is one: for requests without a search of their own. It is the server's
    affair: what a client says of its tools does not concern it, and what it asks nobody to look up is not refused. Where nothing is
    found a question is answered with SILENCE, as with a search of the client's, and a courtesy by the model."""
    return FileSearch(stores=()) if runtime.knowledge_base and runtime.knowledge_base.default_store else None


async def plan_search(runtime: Runtime, wish: GenerationRequest, owner: str) -> PendingSearch | None:
    """None: nothing is to be searched. Raises ApiError."""
    if (wanted := wish.file_search) is None:
        return None
    knowledge, turns = expect_knowledge_base(runtime), conversation_of(wish.messages)
    asks = isinstance(wish.messages[-1], User | ToolResult) if wish.messages else False
    if not asks or not turns or not turns[-1].text.strip():
        if not wanted.requested:
            return None
        field = wish.field_names.messages
        raise bad_request(field, f"{field}: the last one must be a question of the user's, to be looked up in the documents")
    search = Search(
        queries=(),
        stores=await _readable_stores(knowledge, owner, wanted, wish.field_names.file_search),
        limit=wanted.limit or knowledge.grounding.passages,
        filter=wanted.filter,
        threshold=wanted.threshold or 0.0,
        weights=wanted.weights,
        rerank=wanted.rerank,
    )
    chat = not wanted.requested and is_small_talk(turns[-1].text)
    return PendingSearch(turns, search, knowledge, client_threshold=wanted.threshold is not None, is_small_talk=chat)


async def search_passages(found: PendingSearch, queries: tuple[str, ...], field: str) -> GroundedQuestion:
    """`field` holds the question. Where that does not go on from the one before it, only its own hits count. Raises ApiError."""
    search, before = replace(found.search, queries=queries), previous_question(found.conversation)
    result = await _result(found, search, field)
    if result.hits and before and len(queries) > 1:
        pair, best, vectors = (before, queries[0]), result.hits[0], result.query_vectors
        if not await with_api_errors(is_follow_up(found.knowledge_base, pair, best, vectors), field):
            result = await _result(found, replace(search, queries=queries[:1], known_vectors=vectors), field)
    return GroundedQuestion(found.question, result.hits, found.knowledge_base)


async def _result(found: PendingSearch, search: Search, field: str) -> SearchResult:
    knowledge = found.knowledge_base
    result = await with_api_errors(knowledge.retriever.search(search), field)
    reranked = search.rerank and knowledge.reranker is not None
    return result if found.client_threshold else replace(result, hits=_relevant(knowledge, result.hits, reranked=reranked))


def fit_passages(
    grounds: GroundedQuestion, text: ChatTokenizer, context: int, spoken: int, limit: int | None, field: str
) -> GroundedQuestion:
    """With as many hits as the context holds beside `spoken` tokens of conversation and an answer of `limit` tokens. Raises
    ApiError when that is none."""
    instructions = len(text.encode(passages_prompt("", ()))) + JOIN_TOKENS
    left = context - spoken - instructions - min(limit or DEFAULT_ANSWER_TOKENS, context // 4)
    hits = passages_that_fit(text, grounds.hits, min(left, grounds.knowledge_base.grounding.tokens))
    if grounds.hits and not hits:
        told = f"the conversation has {spoken} tokens, which leaves no room for a passage in a context of {context} tokens"
        raise bad_request(field, told, "context_length_exceeded")
    return replace(grounds, hits=tuple(hits))


def with_passages(sayings: Sequence[Message], grounds: GroundedQuestion) -> list[Message]:
    """The user's last message, which is the question, becomes the passages with the question behind them."""
    at = max(i for i, said in enumerate(sayings) if isinstance(said, User))
    question = sayings[at]
    assert isinstance(question, User)
    return [*sayings[:at], replace(question, text=passages_prompt(grounds.question, grounds.hits)), *sayings[at + 1 :]]


class CannedEngine:
    """Says a text as an engine would: token by token, within the request's limits."""

    def __init__(self, text: ChatTokenizer, words: str) -> None:
        self._tokens = text.encode(words)

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        said = self._tokens[: request.sampling.max_tokens]
        finish = "stop" if len(said) == len(self._tokens) else "length"
        yield Delta(tokens=said, finish=finish, usage=Usage(prompt=len(request.tokens), completion=len(said), cached=0))


async def _readable_stores(knowledge: KnowledgeBase, owner: str, wanted: FileSearch, field: str) -> tuple[str, ...]:
    """Ids of those that the caller may read. Raises ApiError for any that there is not, or not any more."""
    store = knowledge.store
    if not wanted.stores:
        found = await in_thread(_default_store, store, owner, knowledge.default_store or "")
        expect_not_expired(found, time.time())
        return (found.id,)
    ids = tuple(dict.fromkeys(wanted.stores))
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
    told = f"the server's default store {name!r} does not exist: fill it with stoa ingest PATH --store {name}"
    raise ApiError(404, told, code="vector_store_not_found")


def _relevant(knowledge: KnowledgeBase, hits: Sequence[Hit], *, reranked: bool) -> tuple[Hit, ...]:
    """Those that may hold an answer: none when even the best has little to do with the question, and none far behind it. What a
    cross-encoder says lies near 0 or near 1, so there the distance says nothing."""
    limits, best = knowledge.grounding, hits[0].score if hits else 0.0
    floor = limits.reranked_floor if reranked else max(limits.floor, limits.relative_floor * best)
    return tuple(hit for hit in hits if hit.score >= floor)


def expect_not_expired(store: VectorStore, now: float) -> None:
    """Raises ApiError when it has expired: an empty answer would look like one."""
    if store.expires_at is not None and store.expires_at <= now:
        raise bad_request("vector_store_id", f"the vector store {store.id!r} has expired", "vector_store_expired")
