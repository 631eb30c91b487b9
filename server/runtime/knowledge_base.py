"""The knowledge base: embedding model, reranker, store, retriever and ingest worker, opened here for the server and the command line.
Its users know only the protocols."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from engine.api import Judge
from retrieval.api import Chunking, Embedder, ImageEmbedder, Parser, PictureModel, Reranker, Retriever, SpeechReader, Vectors
from retrieval.store.api import Store
from server.runtime.grounding_settings import GroundingSettings
from server.runtime.setting_values import short_name
from server.runtime.settings import Settings
from server.weights.paths import default_database
from server.weights.progress import Progress

if TYPE_CHECKING:
    from retrieval.embedding.embed import EmbedOptions
    from retrieval.ingest.worker import IngestStats

MAX_PICTURES = 500  # of a document
LOG = logging.getLogger("stoa")
ObserveSearch = Callable[[str, float], None]  # stage of a search, seconds it took


class TextEmbedder(Embedder, Protocol):
    """An embedder with what /v1/embeddings needs besides."""

    def tokens(self, text: str, kind: Literal["query", "document"] | None = None) -> tuple[int, ...]:
        """Token ids of `text` with the prompt of its `kind` (None: no prompt) and special tokens, truncated to the model's length."""
        ...

    async def embed_tokens(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """Vectors of token ids, special tokens included. Raises EngineError: PromptTooLong and others."""
        ...

    @property
    def vocab(self) -> int: ...

    @property
    def sight(self) -> ImageEmbedder | None:
        """Of a model that reads images, too."""
        ...

    @property
    def judge(self) -> Judge | None:
        """How vectors of its texts and images are compared."""
        ...

    async def close(self) -> None: ...


class TextReranker(Reranker, Protocol):
    async def close(self) -> None: ...


class ClosingParser(Parser, Protocol):
    def close(self) -> None: ...


class IngestWorker(Protocol):
    """Turns queued files into chunks."""

    @property
    def name(self) -> str:
        """In the leases of what it works on."""
        ...

    async def run(self) -> None:
        """Works until cancelled; the current job then goes back to the queue."""
        ...

    def wake(self) -> None:
        """Looks at the queue now. Thread-safe."""
        ...

    async def drain(self, store_id: str, owner: str = "") -> None:
        """Returns when no process has work left for this store. Raises NotFound."""
        ...

    @property
    def stats(self) -> "IngestStats": ...


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
    image_embedder: TextEmbedder | None = None  # of pictures, and of texts beside them; may be `embedder`; None: nothing sees pictures
    image_embedding_name: str | None = None
    pictures: PictureModel | None = None  # the same model
    default_store: str | None = None  # name or id; grounds the answers of clients that name no store
    grounding: GroundingSettings = field(default_factory=GroundingSettings)

    async def close(self) -> None:
        """To be called after the ingest task has ended. The store is closed last: the others may use it."""
        await asyncio.to_thread(self.parser.close)
        await self.embedder.close()
        if self.image_embedder is not None and self.image_embedder is not self.embedder:
            await self.image_embedder.close()
        if self.reranker is not None:
            await self.reranker.close()
        await asyncio.to_thread(self.store.close)


async def run_ingestion(knowledge: KnowledgeBase) -> None:
    """Ingests queued files until cancelled. Raises unrecoverable errors."""
    try:
        await knowledge.ingestor.run()
    except Exception:
        LOG.exception("ingestion has stopped")
        raise


def open_database(settings: Settings) -> Store:
    """Raises KnowledgeError."""
    from retrieval.store import StoreOptions, open_store

    where = settings.database_url or default_database()
    options = StoreOptions() if settings.hnsw_above is None else StoreOptions(hnsw_above=settings.hnsw_above)
    return open_store(where, options)


def open_knowledge_base(
    settings: Settings,
    progress: Progress | None = None,
    watch: ObserveSearch | None = None,
    store: Store | None = None,
    speech: SpeechReader | None = None,
) -> KnowledgeBase | None:
    """Fetches the models if needed and, unless `store` is given, opens the database; None if the settings want no embedding model.
    `speech` reads recordings; without it they are refused.
    Imports heavy libraries. Starts no work: `run_ingestion` or `ingestor.drain` does. Raises PullError, ValueError, KnowledgeError."""
    if settings.embedding_model == "none":
        return None
    from retrieval.embedding.embed import open_embedder, open_reranker
    from retrieval.ingest.spoken import SpokenParser
    from retrieval.ingest.worker import Ingestor
    from retrieval.parse.limits import Limits
    from retrieval.parse.sandbox import SubprocessParser
    from retrieval.search.pictures import PictureSearch
    from retrieval.search.retriever import KnowledgeSearch, ignore_stage
    from server.weights.pull import pull

    embedder = open_embedder(pull(settings.embedding_model, progress=progress), _embedding(settings))
    image_embedder = _open_image_embedder(settings, progress, embedder)
    pictures = picture_model(image_embedder)
    named = settings.rerank_model
    reranker = open_reranker(pull(named, progress=progress), _models(settings)) if named else None
    store = store or open_database(settings)
    chunking = Chunking(size=settings.chunk_size, overlap=settings.chunk_overlap)
    parser = SpokenParser(SubprocessParser(Limits(pictures=MAX_PICTURES if pictures else 0)), speech)
    seen = PictureSearch(store, pictures) if pictures else None
    return KnowledgeBase(
        store=store,
        embedder=embedder,
        reranker=reranker,
        retriever=KnowledgeSearch(store, embedder, reranker, watch or ignore_stage, seen),
        parser=parser,
        ingestor=Ingestor(store, parser, embedder, chunking, pictures=pictures),
        embedding_name=short_name(settings.embedding_model),
        rerank_name=short_name(named) if named else None,
        image_embedder=image_embedder,
        pictures=pictures,
        image_embedding_name=short_name(settings.image_embedding_model or settings.embedding_model) if image_embedder else None,
        default_store=settings.default_store,
        grounding=_grounding(settings),
    )


def _open_image_embedder(settings: Settings, progress: Progress | None, embedder: TextEmbedder) -> TextEmbedder | None:
    """The model of texts where it reads images, too, and no other is named. Raises PullError, ValueError."""
    from retrieval.embedding.embed import open_embedder
    from server.weights.pull import pull

    named = settings.image_embedding_model
    if named is None or named == settings.embedding_model:
        found = embedder if embedder.sight is not None else None
    else:
        found = open_embedder(pull(named, progress=progress), replace(_models(settings), configured_name=_configured(named)))
    if named is not None and (found is None or found.sight is None):
        raise ValueError(f"image_embedding_model: {named} reads texts alone; it must be a CLIP or SigLIP")
    return found


def picture_model(embedder: TextEmbedder | None) -> PictureModel | None:
    """None: it reads no images."""
    from retrieval.embedding.pictures import PairPictures

    if embedder is None or embedder.sight is None or embedder.judge is None:
        return None
    return PairPictures(embedder, embedder.sight, embedder.judge)


def _models(settings: Settings) -> "EmbedOptions":
    from retrieval.embedding.embed import EmbedOptions

    return EmbedOptions(device=settings.device, dtype=settings.embedding_dtype, threads=settings.threads)


def _embedding(settings: Settings) -> "EmbedOptions":
    return replace(
        _models(settings),
        query_prompt=settings.query_prompt,
        document_prompt=settings.document_prompt,
        configured_name=_configured(settings.embedding_model),
    )


def _configured(named: str) -> str:
    """Clients are told the name of the model, not its path."""
    return short_name(named) if Path(named).expanduser().exists() else named


def _grounding(settings: Settings) -> GroundingSettings:
    limits = GroundingSettings(passages=settings.grounding_passages, tokens=settings.grounding_tokens)
    floor = settings.grounding_floor
    return limits if floor is None else replace(limits, floor=floor, reranked_floor=floor)
