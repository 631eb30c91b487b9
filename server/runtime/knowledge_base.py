"""The knowledge base, put together once and in sight: models, store, retriever, ingestor. The server and the command line
open it here; what uses it knows the protocols."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from retrieval.api import Chunking, Embedder, Parser, Reranker, Retriever, Vectors
from retrieval.store.api import Store
from server.runtime.settings import Settings, short_name
from server.weights.cache import Progress, default_database

if TYPE_CHECKING:
    from retrieval.embedding.embed import EmbedOptions
    from retrieval.ingest.worker import Tally

LOG = logging.getLogger("stoa")
SWEEP = 600.0  # seconds
ObserveSearch = Callable[[str, float], None]  # a stage of a search, and the seconds that it took


class TextEmbedder(Embedder, Protocol):
    """An embedder as the API shows it to its callers."""

    def tokens(self, text: str, kind: Literal["query", "document"] | None = None) -> tuple[int, ...]:
        """What the model reads of `text`: with prompt and special tokens, cut off where the model ends. None: no prompt."""
        ...

    async def embed_tokens(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """Of texts that the caller has tokenized, special tokens included. Raises EngineError: PromptTooLong and others."""
        ...

    @property
    def vocab(self) -> int: ...

    async def close(self) -> None: ...


class TextReranker(Reranker, Protocol):
    async def close(self) -> None: ...


class ClosingParser(Parser, Protocol):
    def close(self) -> None: ...


class IngestWorker(Protocol):
    """What turns queued files into chunks."""

    async def run(self) -> None:
        """Until it is cancelled; the job at hand goes back to the queue."""
        ...

    def wake(self) -> None:
        """Something has been queued: look now. From any thread."""
        ...

    async def drain(self, store_id: str, owner: str = "") -> None:
        """Until nothing of this store is queued or being worked on, by whomever. Raises NotFound."""
        ...

    @property
    def tally(self) -> "Tally": ...


@dataclass(frozen=True, kw_only=True)
class GroundingSettings:
    """How a chat's answer is grounded in documents. With half of XQuAD's articles as the store, `floor` keeps 99 % of the questions
    about them and refuses 81 % of those about the others; at 0.40 these are 97 % and 92 %."""

    passages: int = 6  # that the model gets to read, at most
    tokens: int = 1500  # of all of them together
    floor: float = 0.37  # score of the best hit below which the documents hold no answer
    behind: float = 0.7  # share of the best hit's score below which another is left out
    reranked_floor: float = 0.05  # the same as floor, where a cross-encoder has sorted


@dataclass(frozen=True)
class KnowledgeBase:
    """`store` is synchronous: the async side calls it through `asyncio.to_thread`."""

    store: Store
    embedder: TextEmbedder
    reranker: TextReranker | None
    retriever: Retriever
    parser: ClosingParser
    ingestor: IngestWorker
    embedding_name: str  # what clients call the models
    rerank_name: str | None = None
    default_store: str | None = None  # name or id: grounds the chat of clients who name no store
    grounding: GroundingSettings = GroundingSettings()

    async def close(self) -> None:
        """After the ingestor's task has ended. The store comes last: the others may use it."""
        await asyncio.to_thread(self.parser.close)
        await self.embedder.close()
        if self.reranker is not None:
            await self.reranker.close()
        await asyncio.to_thread(self.store.close)


async def run_ingestion(knowledge: KnowledgeBase) -> None:
    """Reads what is queued and removes what has expired, until it is cancelled. Raises what cannot be mended."""
    sweeping = asyncio.create_task(_sweep(knowledge.store))
    try:
        await knowledge.ingestor.run()
    except Exception:
        LOG.exception("files are not read any more")
        raise
    finally:
        sweeping.cancel()


async def _sweep(store: Store) -> None:
    while True:
        try:
            await asyncio.to_thread(store.sweep)
        except Exception:  # of whichever database; it may be there again next time
            LOG.exception("what has expired could not be removed")
        await asyncio.sleep(SWEEP)


def open_database(settings: Settings) -> Store:
    """Raises KnowledgeError."""
    from retrieval.store import StoreOptions, open_store

    where = settings.database_url or default_database()
    return open_store(where, StoreOptions(hnsw_above=settings.hnsw_above))


def open_knowledge_base(
    settings: Settings, progress: Progress | None = None, watch: ObserveSearch | None = None, store: Store | None = None
) -> KnowledgeBase | None:
    """Fetches the models if need be and, unless `store` is given, opens the database; None where the settings want no embedding
    model. Imports what is heavy. Starts no work: `tend` or `ingestor.drain` does. Raises PullError, ValueError and
    KnowledgeError."""
    if settings.embedding_model == "none":
        return None
    from retrieval.embedding.embed import open_embedder, open_reranker
    from retrieval.ingest.worker import Ingestor
    from retrieval.parse.sandbox import SubprocessParser
    from retrieval.search.retriever import KnowledgeSearch, unwatched
    from server.weights.pull import pull

    embedder = open_embedder(pull(settings.embedding_model, progress=progress), _embedding(settings))
    named = settings.rerank_model
    reranker = open_reranker(pull(named, progress=progress), _models(settings)) if named else None
    store = store or open_database(settings)
    chunking = Chunking(size=settings.chunk_size, overlap=settings.chunk_overlap)
    parser = SubprocessParser()
    return KnowledgeBase(
        store=store,
        embedder=embedder,
        reranker=reranker,
        retriever=KnowledgeSearch(store, embedder, reranker, watch or unwatched),
        parser=parser,
        ingestor=Ingestor(store, parser, embedder, chunking),
        embedding_name=short_name(settings.embedding_model),
        rerank_name=short_name(named) if named else None,
        default_store=settings.default_store,
        grounding=_grounding(settings),
    )


def _models(settings: Settings) -> "EmbedOptions":
    from retrieval.embedding.embed import EmbedOptions

    return EmbedOptions(device=settings.device, dtype=settings.embedding_dtype, threads=settings.threads)


def _embedding(settings: Settings) -> "EmbedOptions":
    """What the model is called is told to clients; where it lies is not their business."""
    named = settings.embedding_model
    called = short_name(named) if Path(named).expanduser().exists() else named
    return replace(_models(settings), query_prompt=settings.query_prompt, document_prompt=settings.document_prompt, called=called)


def _grounding(settings: Settings) -> GroundingSettings:
    limits = GroundingSettings(passages=settings.grounding_passages, tokens=settings.grounding_tokens)
    floor = settings.grounding_floor
    return limits if floor is None else replace(limits, floor=floor, reranked_floor=floor)
